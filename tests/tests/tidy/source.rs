//! The files of the project, and Rust code without its comments and strings.
//!
//! Not a parser: it knows just enough of Rust's tokens to tell code from text, and test code from
//! the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Its path from the root, with `/` between the parts.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

/// A string literal: the line that it begins on, and what stands between its quotes.
pub(super) type Literal = (usize, String);

/// The root of the project.
pub(super) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = git(&package, &["rev-parse", "--show-toplevel"]);
    PathBuf::from(found.trim_end())
}

/// Every text file that is tracked, or would be if it were added.
pub(super) fn files() -> Vec<File> {
    let root = root();
    let arguments = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = git(&root, &arguments);
    let mut paths: Vec<_> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let read = |path: &str| {
        // A tracked file may be removed and not committed; one that is not text has no lines.
        let text = String::from_utf8(fs::read(root.join(path)).ok()?).ok()?;
        let path = path.to_owned();
        Some(File { path, text })
    };
    let files: Vec<_> = paths.into_iter().filter_map(read).collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output();
    let output = output.expect("git is there: `deploy/setup test` installs it");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("paths are text")
}

/// Panics with every complaint, if there is one.
#[track_caller]
pub(super) fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

impl File {
    /// A file for a test of a rule.
    #[cfg(test)]
    pub(super) fn seeded(path: &str, text: &str) -> Self {
        let (path, text) = (path.to_owned(), text.to_owned());
        Self { path, text }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is tests: by where it lies.
    pub(super) fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("/contract/")
            || path.ends_with("/contract.rs")
    }

    /// The text with comments and the content of strings blanked: every token stays where it was.
    pub(super) fn code(&self) -> String {
        Scan::of(&self.text).code
    }

    /// The code without the items that only tests have.
    pub(super) fn production(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        without_tests(&self.code())
    }

    /// The string literals outside of tests.
    pub(super) fn literals(&self) -> Vec<Literal> {
        let scan = Scan::of(&self.text);
        let production = self.production();
        let lines: Vec<_> = production.lines().collect();
        let is_production = |(line, _): &Literal| {
            let text = lines.get(line - 1);
            text.is_some_and(|text| text.contains('"'))
        };
        scan.literals.into_iter().filter(is_production).collect()
    }
}

/// Where a word stands in code, as line numbers: whole words only.
pub(super) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has_word = |line: &str| {
        line.match_indices(word).any(|(start, found)| {
            let before = line[..start].chars().next_back();
            let after = line[start + found.len()..].chars().next();
            let begins = word.starts_with(is_part) && before.is_some_and(is_part);
            let goes_on = word.ends_with(is_part) && after.is_some_and(is_part);
            !begins && !goes_on
        })
    };
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| has_word(line))
        .map(|(index, _)| index + 1)
        .collect()
}

struct Scan {
    code: String,
    literals: Vec<Literal>,
}

impl Scan {
    fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut scan = Self {
            code: String::with_capacity(text.len()),
            literals: Vec::new(),
        };
        let mut at = 0;
        while at < characters.len() {
            let end = match scan.token(&characters[at..]) {
                Token::Code => {
                    scan.code.push(characters[at]);
                    at += 1;
                    continue;
                }
                Token::Blank(length) => (at + length).min(characters.len()),
                Token::Text { open, length } => {
                    let end = (at + length).min(characters.len());
                    let line = 1 + scan.code.matches('\n').count();
                    let inner = characters[at + open..end].iter().collect::<String>();
                    let inner = inner.trim_end_matches('#');
                    let inner = inner.strip_suffix('"').unwrap_or(inner).to_owned();
                    scan.literals.push((line, inner));
                    scan.code.push('"');
                    at += 1;
                    end
                }
            };
            for character in &characters[at..end] {
                scan.code.push(if *character == '\n' { '\n' } else { ' ' });
            }
            at = end;
        }
        scan
    }

    /// What begins here.
    fn token(&self, rest: &[char]) -> Token {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        match rest {
            ['/', '/', ..] => Token::Blank(find(rest, &['\n']).unwrap_or(rest.len())),
            ['/', '*', ..] => Token::Blank(block_comment(rest)),
            ['"', ..] => string(rest, 1),
            ['\'', '\\', _, tail @ ..] => {
                Token::Blank(3 + find(tail, &['\'']).unwrap_or(tail.len()) + 1)
            }
            ['\'', _, '\'', ..] => Token::Blank(3),
            ['r' | 'b' | 'c', ..] if !self.code.ends_with(is_word) => prefixed(rest),
            _ => Token::Code,
        }
    }
}

enum Token {
    Code,
    Blank(usize),
    Text { open: usize, length: usize },
}

fn find(haystack: &[char], needle: &[char]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string with escapes whose content begins at `open`.
fn string(rest: &[char], open: usize) -> Token {
    let mut at = open;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => break,
            _ => at += 1,
        }
    }
    let length = at + 1;
    Token::Text { open, length }
}

/// `b"`, `c"`, `r"`, `br#"` and so on, or a word that only begins like one.
fn prefixed(rest: &[char]) -> Token {
    let letters = rest
        .iter()
        .take_while(|c| matches!(c, 'r' | 'b' | 'c'))
        .count();
    let hashes = rest[letters..].iter().take_while(|c| **c == '#').count();
    let open = letters + hashes + 1;
    if letters > 2 || rest.get(open - 1) != Some(&'"') {
        return Token::Code;
    }
    if rest[letters - 1] != 'r' {
        return if hashes == 0 {
            string(rest, open)
        } else {
            Token::Code
        };
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let inner = find(&rest[open..], &end).unwrap_or(rest.len() - open);
    let length = open + inner + end.len();
    Token::Text { open, length }
}

/// Blanks every item behind `#[cfg(test)]`, up to its semicolon or closing brace.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut rest = code;
    let mut kept = String::with_capacity(code.len());
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        let item = &rest[start..];
        let end = item_end(&item[MARK.len()..]) + MARK.len();
        kept.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    kept + rest
}

fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = r##"let a = "x // y \" z"; // word
/* word /* word */ word */ let b = 'w'; let c: &'static str = r#"word "quoted""#;
let d = b"word"; let e = '\''; let word_like = 1; for_r"word""##;
    let scan = Scan::of(text);
    assert_eq!(scan.code.lines().count(), text.lines().count());
    assert!(lines_with(&scan.code, "word").is_empty(), "{}", scan.code);
    assert_eq!(lines_with(&scan.code, "static"), [2]);
    assert_eq!(lines_with(&scan.code, "word_like"), [3]);
    let literals: Vec<_> = scan
        .literals
        .iter()
        .map(|(line, text)| (*line, text.as_str()))
        .collect();
    let expected = [
        (1, r#"x // y \" z"#),
        (2, r#"word "quoted""#),
        (3, "word"),
        (3, "word"),
    ];
    assert_eq!(literals, expected);
}

#[test]
fn items_of_tests_are_not_production() {
    let text = "use a;\n#[cfg(test)]\nmod tests {\n    fn f() { \"x\" }\n}\nfn g() { \"y\" }\n\
                #[cfg(test)]\nmod more;\nfn h() {}\n";
    let file = File::seeded("node/src/a.rs", text);
    let production = file.production();
    assert_eq!(production.lines().count(), text.lines().count());
    for (word, expected) in [
        ("f", vec![]),
        ("g", vec![6]),
        ("more", vec![]),
        ("h", vec![9]),
    ] {
        assert_eq!(lines_with(&production, word), expected, "{word}");
    }
    assert_eq!(file.literals(), [(6, "y".to_owned())]);
    assert!(
        File::seeded("node/src/config/tests.rs", text)
            .production()
            .is_empty()
    );
}

#[test]
fn words_are_whole() {
    let code = "rand\nrandom\noperand\nrand::x\na.await;\nawaiting\n";
    assert_eq!(lines_with(code, "rand"), [1, 4]);
    assert_eq!(lines_with(code, "await"), [5]);
    assert_eq!(lines_with(code, "rand::"), [4]);
}

#[test]
fn files_of_the_project_are_found() {
    let files = files();
    for path in ["Cargo.toml", "tests/tests/tidy.rs", "proto/src/lib.rs"] {
        assert!(
            files.iter().any(|file| file.path == path),
            "{path} was not found"
        );
    }
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
}
