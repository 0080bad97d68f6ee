//! Texts that no operator would write on purpose. None may panic, hang or eat memory.

use std::fmt::Write as _;
use std::fs;

use expect_test::{expect, expect_file};

use super::super::schema::{ROOT, Shape};
use super::{Folder, SMALLEST, show, show_file, with_file, without_file};

/// Texts that are not YAML, or not the YAML of a configuration.
const BROKEN: &[(&str, &[u8])] = &[
    ("tab", b"version: 0.1\nstorage:\n\tfilesystem:\n"),
    (
        "nul",
        b"version: 0.1\nstorage: filesystem\n\0http: {adr: 1}\n",
    ),
    ("escape", b"version: 0.1\n\x1b[31mstorage: filesystem\n"),
    ("utf-8", b"version: 0.1\nstorage: \xff\n"),
    (
        "duplicate",
        b"version: 0.1\nversion: 0.1\nstorage: filesystem\n",
    ),
    (
        "nested duplicate",
        b"version: 0.1\nstorage:\n  inmemory:\n  inmemory:\n",
    ),
    (
        "two documents",
        b"version: 0.1\nstorage: filesystem\n---\nversion: 0.1\n",
    ),
    ("list", b"- version: 0.1\n"),
    ("scalar", b"version"),
    ("unclosed", b"version: [0.1\n"),
    ("unclosed quote", b"version: '0.1\n"),
    (
        "complex key",
        b"version: 0.1\n? [a]\n: b\nstorage: filesystem\n",
    ),
    ("unknown alias", b"version: *v\n"),
    (
        "alias to itself",
        b"version: 0.1\nlog: &l\n  fields: *l\nstorage: filesystem\n",
    ),
    (
        "merge of a scalar",
        b"version: 0.1\nstorage: filesystem\nlog:\n  <<: a\n",
    ),
    (
        "escape in a key",
        b"version: 0.1\nstorage: filesystem\n\"\\e[2J\\n\": 1\n",
    ),
    (
        "carriage returns",
        b"version: 0.1\rstorage: filesystem\rhttp: {adr: 1}\r",
    ),
    (
        "byte order mark",
        b"\xef\xbb\xbfversion: 0.1\nstorage: filesystem\n",
    ),
    ("only a comment", b"# nothing\n"),
];

#[test]
fn broken_texts_are_refused_with_a_line() {
    let mut found = String::new();
    for (name, content) in BROKEN {
        let (folder, outcome) = with_file(content, &[]);
        writeln!(
            found,
            "{name}\n  {}",
            folder.hide(&show(&outcome)).replace('\n', "\n  ")
        )
        .unwrap();
    }
    expect_file!["snapshots/broken_texts_are_refused_with_a_line.txt"].assert_eq(&found);
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = Folder::new();
    expect!["config.yml: cannot be read: No such file or directory (os error 2)"]
        .assert_eq(&folder.hide(&show(&folder.load(&[]))));
    fs::create_dir(folder.file()).unwrap();
    expect!["config.yml: cannot be read: Is a directory (os error 21)"]
        .assert_eq(&folder.hide(&show(&folder.load(&[]))));
}

#[test]
fn nesting_is_bounded() {
    const DEPTH: usize = 10_000;
    let mut indented = String::new();
    for depth in 0..2_000 {
        writeln!(indented, "{:depth$}a:", "").unwrap();
    }
    for (name, text) in [
        ("flow lists", "[".repeat(DEPTH)),
        (
            "closed flow lists",
            format!("a: {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        ),
        ("flow maps", "{a: ".repeat(DEPTH)),
        ("block lists", "- ".repeat(DEPTH)),
        ("block maps", indented),
        ("explicit keys", "? ".repeat(DEPTH)),
    ] {
        let found = show_file(&text);
        assert!(found.starts_with("config.yml:"), "{name}: {found}");
        assert_eq!(found.lines().count(), 1, "{name}: {found}");
        let outcome = without_file(&[("REGISTRY_LOG_FIELDS", &text)]);
        assert!(
            show(&outcome).starts_with("REGISTRY_LOG_FIELDS: "),
            "{name}"
        );
    }
    let name = format!("REGISTRY_REDIS{}", "_A".repeat(100_000));
    assert!(show(&without_file(&[(&name, "x")])).starts_with("ok\nwarning"));
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut wide = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        let items = vec![format!("*a{before}"); 10].join(", ");
        writeln!(wide, "a{level}: &a{level} [{items}]").unwrap();
        writeln!(deep, "a{level}: &a{level} [*a{before}]").unwrap();
    }
    for (name, text, expected) in [
        ("wide", &wide, "config.yml:4: holds more than 10000 values"),
        (
            "deep",
            &deep,
            "config.yml:32: nests more than 32 maps and lists in each other",
        ),
    ] {
        assert_eq!(show_file(text), expected, "{name}");
    }
}

#[test]
fn sizes_are_bounded() {
    let many_keys: String = (0..4_000).map(|key| format!("k{key}:\n")).collect();
    let found = show_file(&format!("{SMALLEST}{many_keys}"));
    assert_eq!(found.lines().count(), 101, "problems listed");
    assert!(found.ends_with("config.yml: and 3900 more"), "{found}");
    let large = "#".repeat(2 * 1024 * 1024);
    expect!["config.yml: is larger than 1048576 bytes"].assert_eq(&show_file(&large));
    let long_key = format!("{SMALLEST}{}: 1\n", "k".repeat(1000));
    assert!(show_file(&long_key).contains("is not a known key"));
    let long_value = format!("{SMALLEST}http: {{addr: {}}}\n", "v".repeat(100_000));
    assert!(show_file(&long_value).len() < 300);
}

/// Changes a good file in every way that a seeded generator comes up with.
#[test]
fn garbage_never_panics() {
    const SEED: u64 = 0x5eed_0001;
    const ROUNDS: usize = 1_000;
    const ROUNDS_PER_FILE: usize = 10;
    const PIECES: [&str; 16] = [
        ":", "-", "?", "[", "]", "{", "}", "&a ", "*a", "<<: ", "\t", "\n", "'", "\"", "#", "!!",
    ];
    let base = "version: 0.1\nstorage:\n  filesystem: &a\n    rootdirectory: /x\nhttp:\n  \
                headers: {X: [a, b]}\nhealth:\n  tcp:\n    - addr: a:1\n      timeout: 1s\n";
    let mut state = SEED;
    let mut random = |below: usize| {
        // Xorshift: good enough to pick places, and the same on every machine.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let folder = Folder::new();
    for round in 0..ROUNDS {
        let mut bytes = base.as_bytes().to_vec();
        for _ in 0..=random(6) {
            let place = random(bytes.len().max(1));
            match random(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(place)),
                1 => bytes[place] = u8::try_from(random(256)).unwrap(),
                2 => bytes.truncate(place.max(1)),
                _ => drop(bytes.splice(place..place, PIECES[random(16)].bytes())),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let variables = [("REGISTRY_HTTP", &*text), ("REGISTRY_STORAGE", &*text)];
        let mut found = show(&without_file(&variables));
        if round % ROUNDS_PER_FILE == 0 {
            fs::write(folder.file(), &bytes).unwrap();
            found.push_str(&show(&folder.load(&variables)));
        }
        assert!(!found.contains('\u{1b}'), "seed {SEED:#x}, round {round}");
    }
}

/// The schema places variables and the reader knows keys; they must know the same ones.
#[test]
fn every_key_of_the_schema_is_read() {
    let mut paths = Vec::new();
    collect(&ROOT, &mut Vec::new(), &mut paths);
    assert!(paths.len() > 80, "{}", paths.len());
    for path in paths {
        let name = format!("REGISTRY_{}", path.join("_").to_uppercase());
        let found = show(&without_file(&[
            (&name, "[]"),
            ("REGISTRY_CLUSTER_DATADIR", "/m"),
        ]));
        assert!(!found.contains("not a known"), "{name}: {found}");
    }
}

fn collect(shape: &'static Shape, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let mut below = |step: &str, shape: &'static Shape| {
        path.push(step.to_owned());
        paths.push(path.clone());
        collect(shape, path, paths);
        path.pop();
    };
    match shape {
        Shape::Value | Shape::Any => {}
        Shape::Section(keys) => keys.iter().for_each(|key| {
            below(key.name, &key.shape);
            if key.field != key.name {
                below(key.field, &key.shape);
            }
        }),
        Shape::List(shape) => below("0", shape),
        Shape::Names(shape) | Shape::NamesAsGiven(shape) => below("x", shape),
    }
}
