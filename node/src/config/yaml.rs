//! Builds the tree from YAML text, of a file or of one environment variable.
//!
//! It works on the parser's events rather than on a ready document, because the text may be
//! hostile: the depth and the number of nodes are bounded before anything is built from them,
//! and no function here calls itself. Repeated keys are problems; anchors, aliases and merge
//! keys (`<<`) are resolved.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::error::Report;
use super::tree::{Entry, Map, Node, Origin, Scalar, Value};
use crate::limits::{CONFIG_DEPTH_MAX, CONFIG_VALUES_MAX};

/// Reads a text as one YAML document.
///
/// `origin` turns a line into the place to name in complaints. An empty text is null. `None`
/// means that the text could not be read, and that the report says why.
pub(super) fn parse(text: &str, origin: &dyn Fn(usize) -> Origin, report: &Report) -> Option<Node> {
    if let Some(line) = line_of_control_character(text) {
        // The parser takes NUL for the end of the text and would drop what follows.
        report.error(
            &origin(line),
            "holds a control character; expected plain UTF-8 text",
        );
        return None;
    }
    let mut builder = Builder::new(origin, report);
    match builder.run(text) {
        Ok(()) => Some(builder.document.unwrap_or_else(|| Node::null(origin(1)))),
        Err(Unreadable { line, message }) => {
            let origin = origin(line);
            let hint = match origin {
                // What a shell hands over has lost the quotes that YAML may need.
                Origin::Variable(_) => "; a plain text may need quotes within the value",
                Origin::Whole | Origin::Line(_) => "",
            };
            report.error(&origin, message + hint);
            None
        }
    }
}

fn line_of_control_character(text: &str) -> Option<usize> {
    let unwanted = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r".contains(byte);
    let position = text.bytes().position(|byte| unwanted(&byte))?;
    Some(
        1 + text
            .bytes()
            .take(position)
            .filter(|byte| *byte == b'\n')
            .count(),
    )
}

/// A reason to stop reading at once.
struct Unreadable {
    line: usize,
    message: String,
}

impl Unreadable {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl From<ScanError> for Unreadable {
    fn from(error: ScanError) -> Self {
        let message = format!("is not valid YAML: {}", error.info());
        // A text that ends too early ends on a line that has no number yet.
        Self::new(error.marker().line().max(1), message)
    }
}

/// A finished value that an alias may repeat.
struct Anchored {
    node: Node,
    /// How many values it holds, itself included.
    nodes: usize,
    /// How many maps and lists lie in each other in it.
    depth: usize,
}

/// A map or list whose end was not reached yet.
struct Open {
    content: Content,
    origin: Origin,
    /// The parser's number for the anchor, zero for none.
    anchor: usize,
    /// How many values were built before this one began.
    nodes_before: usize,
    /// The greatest depth of anything put into it so far.
    depth_below: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        map: Map,
        key: Option<Key>,
        /// What `<<` named, to be merged when all the map's own keys are known.
        merged: Vec<Map>,
    },
}

/// A key that waits for its value.
struct Key {
    name: String,
    origin: Origin,
    is_merge: bool,
}

struct Builder<'a> {
    origin: &'a dyn Fn(usize) -> Origin,
    report: &'a Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    document: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(origin: &'a dyn Fn(usize) -> Origin, report: &'a Report) -> Self {
        Self {
            origin,
            report,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            document: None,
        }
    }

    fn run(&mut self, text: &str) -> Result<(), Unreadable> {
        let text = text.trim_start_matches('\u{feff}');
        let mut parser = Parser::new(StrInput::new(text));
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event?;
            let line = span.start.line();
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Unreadable::new(line, "begins a second YAML document"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let is_merge = style == ScalarStyle::Plain && text == "<<";
                    let node = scalar(&text, style, tag.as_deref(), (self.origin)(line));
                    self.count(1, line)?;
                    self.keep(anchor, &node, 1, 0);
                    self.attach(node, line, 0, is_merge)?;
                }
                Event::SequenceStart(anchor, _) => {
                    self.begin(Content::List(Vec::new()), anchor, line)?;
                }
                Event::MappingStart(anchor, _) => {
                    let content = Content::Map {
                        map: Map::default(),
                        key: None,
                        merged: Vec::new(),
                    };
                    self.begin(content, anchor, line)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
                Event::Alias(anchor) => self.repeat(anchor, line)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Unreadable> {
        self.nodes += nodes;
        if self.nodes > CONFIG_VALUES_MAX {
            return Err(Unreadable::new(
                line,
                format!("holds more than {CONFIG_VALUES_MAX} values"),
            ));
        }
        Ok(())
    }

    fn check_depth(&self, below: usize, line: usize) -> Result<(), Unreadable> {
        if self.open.len() + below > CONFIG_DEPTH_MAX {
            let message =
                format!("nests more than {CONFIG_DEPTH_MAX} maps and lists in each other");
            return Err(Unreadable::new(line, message));
        }
        Ok(())
    }

    fn keep(&mut self, anchor: usize, node: &Node, nodes: usize, depth: usize) {
        if anchor > 0 {
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                    depth,
                },
            );
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, line: usize) -> Result<(), Unreadable> {
        self.check_depth(1, line)?;
        let nodes_before = self.nodes;
        self.count(1, line)?;
        let origin = (self.origin)(line);
        self.open.push(Open {
            content,
            origin,
            anchor,
            nodes_before,
            depth_below: 0,
        });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), Unreadable> {
        let Some(open) = self.open.pop() else {
            return Err(Unreadable::new(
                line,
                "is not valid YAML: an end without a beginning",
            ));
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map {
                mut map, merged, ..
            } => {
                merge(&mut map, merged);
                Value::Map(map)
            }
        };
        let node = Node {
            value,
            origin: open.origin,
        };
        let depth = open.depth_below + 1;
        self.keep(open.anchor, &node, self.nodes - open.nodes_before, depth);
        self.attach(node, line, depth, false)
    }

    fn repeat(&mut self, anchor: usize, line: usize) -> Result<(), Unreadable> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Unreadable::new(
                line,
                "has an alias inside the value that it repeats",
            ));
        };
        let (nodes, depth) = (anchored.nodes, anchored.depth);
        // Measured before it is copied: this is what defeats a bomb of aliases.
        self.check_depth(depth, line)?;
        self.count(nodes, line)?;
        let Some(node) = self
            .anchors
            .get(&anchor)
            .map(|anchored| anchored.node.clone())
        else {
            return Ok(());
        };
        self.attach(node, line, depth, false)
    }

    /// Puts a finished value where it belongs: a list's next item, a map's next key or value.
    fn attach(
        &mut self,
        node: Node,
        line: usize,
        depth: usize,
        is_merge: bool,
    ) -> Result<(), Unreadable> {
        let Some(parent) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        parent.depth_below = parent.depth_below.max(depth);
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map {
                key: key @ None, ..
            } => {
                let name = match node.value {
                    Value::Scalar(scalar) => scalar.text,
                    Value::Null => String::new(),
                    Value::List(_) | Value::Map(_) => {
                        return Err(Unreadable::new(line, "has a list or a map as a key"));
                    }
                };
                *key = Some(Key {
                    name,
                    origin: node.origin,
                    is_merge,
                });
            }
            Content::Map { map, key, merged } => {
                let Some(key) = key.take() else { return Ok(()) };
                if key.is_merge {
                    merged.extend(maps_of(node).ok_or_else(|| {
                        Unreadable::new(line, "merges something that is not a map with <<")
                    })?);
                } else {
                    insert(map, key, node, self.report);
                }
            }
        }
        Ok(())
    }
}

fn insert(map: &mut Map, key: Key, node: Node, report: &Report) {
    if let Some(first) = map.get(&key.name) {
        let place = match first.origin {
            Origin::Line(line) => format!(", first on line {line}"),
            Origin::Whole | Origin::Variable(_) => String::new(),
        };
        report.error(
            &key.origin,
            format!("{} is written twice in one map{place}", key.name),
        );
        return;
    }
    map.put(
        key.name,
        Entry {
            origin: key.origin,
            node,
        },
    );
}

fn maps_of(node: Node) -> Option<Vec<Map>> {
    match node.value {
        Value::Map(map) => Some(vec![map]),
        Value::List(items) => items
            .into_iter()
            .map(|item| match item.value {
                Value::Map(map) => Some(map),
                Value::Null | Value::Scalar(_) | Value::List(_) => None,
            })
            .collect(),
        Value::Null | Value::Scalar(_) => None,
    }
}

/// A map's own keys win over merged ones, and earlier merged maps over later ones.
fn merge(map: &mut Map, merged: Vec<Map>) {
    for (key, entry) in merged.iter().flat_map(Map::iter) {
        if map.get(key).is_none() {
            map.put(key.to_owned(), entry.clone());
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, origin: Origin) -> Node {
    let is_string = style != ScalarStyle::Plain
        || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let scalar = if is_string {
        Some(Scalar::string(text))
    } else {
        Scalar::plain(text)
    };
    Node {
        value: scalar.map_or(Value::Null, Value::Scalar),
        origin,
    }
}
