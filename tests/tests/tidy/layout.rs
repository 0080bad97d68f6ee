//! How Rust files look: a header, a bounded size, names that say something, tests that wait.

use super::source::{File, files, lines_with, none};

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;

/// Names that say nothing of what is in a module.
const EMPTY_NAMES: [&str; 9] = [
    "utils", "util", "common", "helpers", "helper", "manager", "types", "misc", "stuff",
];

/// The only file that may sleep: it waits for a condition, with a deadline.
const WAITING: &str = "tests/src/wait.rs";

fn headers(files: &[File]) -> Vec<String> {
    let is_bare = |file: &&File| file.is_rust() && !file.text.starts_with("//! ");
    let bare = files.iter().filter(is_bare);
    bare.map(|file| format!("{}:1: does not open with `//!`", file.path))
        .collect()
}

fn sizes(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let path = &file.path;
        let is_snapshot = path.contains("/snapshots/");
        let is_generated = path.ends_with(".lock");
        // Prose has one sentence a line, however long.
        let is_prose = path.ends_with(".md") || path.ends_with("LICENSE");
        if is_snapshot || is_generated || is_prose {
            continue;
        }
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{path}: {lines} lines, more than {LINES_MAX}"));
        }
        if !(file.is_rust() || path.ends_with(".proto")) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let line = index + 1;
                complaints.push(format!("{path}:{line}: {columns} columns"));
            }
        }
    }
    complaints
}

fn names(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let path = &file.path;
        let parts = path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            complaints.push(format!("{path}:1: a module named {part} says nothing"));
        }
        let code = file.code();
        for name in EMPTY_NAMES {
            for line in lines_with(&code, &format!("mod {name}")) {
                complaints.push(format!("{path}:{line}: a module named {name} says nothing"));
            }
        }
    }
    complaints
}

/// Attributes and macros that leave something undone.
fn leftovers(files: &[File]) -> Vec<String> {
    let words = [
        concat!("#[ig", "nore"),
        concat!("#[should", "_panic"),
        concat!("db", "g!"),
        concat!("to", "do!"),
        concat!("unimpl", "emented!"),
    ];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for word in words {
            for line in lines_with(&code, word) {
                complaints.push(format!("{}:{line}: {word}", file.path));
            }
        }
    }
    complaints
}

/// The code of tests: all of a test file, or what stands behind `#[cfg(test)]`.
fn test_code(file: &File) -> String {
    let code = file.code();
    let production = file.production();
    let mut left = production.lines();
    let lines = code.lines().map(|line| match left.next() {
        Some(kept) if kept == line => "",
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A sleep that no function with a deadline or a time-out surrounds.
fn sleeps(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && file.path != WAITING)
    {
        let code = test_code(file);
        let lines: Vec<_> = code.lines().collect();
        for line in lines_with(&code, "sleep(") {
            let is_function = |text: &&&str| !lines_with(text, "fn").is_empty();
            let before = lines[..line - 1].iter().rev();
            let head = before.take_while(|text| !is_function(text)).count();
            let after = lines[line..].iter();
            let tail = after.take_while(|text| !is_function(text)).count();
            let function = &lines[line - 1 - head..line + tail];
            let is_bounded = function
                .iter()
                .any(|text| text.contains("deadline") || text.contains("timeout("));
            if !is_bounded {
                let path = &file.path;
                complaints.push(format!("{path}:{line}: a test that sleeps: see {WAITING}"));
            }
        }
    }
    complaints
}

#[test]
fn every_file_says_what_it_is() {
    none(headers(&files()));
}

#[test]
fn files_and_lines_are_short() {
    none(sizes(&files()));
}

#[test]
fn names_of_modules_say_something() {
    none(names(&files()));
}

#[test]
fn nothing_is_left_undone() {
    none(leftovers(&files()));
}

#[test]
fn tests_wait_and_do_not_sleep() {
    none(sleeps(&files()));
}

#[test]
fn each_badly_laid_out_file_is_seen() {
    type Rule = fn(&[File]) -> Vec<String>;
    let long = "x".repeat(COLUMNS_MAX + 1);
    let fits = "\u{e9}".repeat(COLUMNS_MAX);
    let tall = "\n".repeat(LINES_MAX);
    let ignored = concat!("#[ig", "nore = \"slow\"]");
    let panics = concat!("#[should", "_panic]");
    let undone = concat!("to", "do!()");
    let bounded = "fn f() { let deadline = 1; sleep(PAUSE); }";
    let table: [(Rule, &str, &str, &str); 10] = [
        (headers, "a.rs", "// x", "//! x"),
        (headers, "a.rs", "", "//! x"),
        (sizes, "a.rs", &long, &fits),
        (sizes, "a/snapshots/a.rs", &format!("{tall}{tall}a"), &tall),
        (names, "a.rs", "mod utils;", "mod utilities;"),
        (leftovers, "a.rs", ignored, "fn ignore() {}"),
        (leftovers, "a.rs", panics, "\"#[should_not]\""),
        (leftovers, "a.rs", undone, "// to do"),
        (
            sleeps,
            "tests/tests/a.rs",
            "fn f() { thread::sleep(PAUSE); }",
            bounded,
        ),
        (
            sleeps,
            "a/src/tests.rs",
            "fn f() {\n    sleep(PAUSE).await;\n}",
            "fn f() {}",
        ),
    ];
    for (rule, path, bad, good) in table {
        let with = |text: &str| rule(&[File::seeded(path, text)]);
        let is_exempt = path.contains("/snapshots/");
        assert_eq!(with(bad).len(), usize::from(!is_exempt), "{path} {bad}");
        assert_eq!(with(good), [""; 0], "{path} {good}");
    }
    let tall = File::seeded("a.rs", &format!("{tall}a"));
    assert_eq!(sizes(&[tall]).len(), 1);
    for path in [
        "node/src/utils.rs",
        "node/src/common/a.rs",
        "node/src/a/types.rs",
    ] {
        assert_eq!(names(&[File::seeded(path, "//! x\n")]).len(), 1, "{path}");
    }
    // What sleeps in the program is its own affair; what sleeps in its tests is not.
    let inside =
        "fn f() { sleep(PAUSE); }\n#[cfg(test)]\nmod tests {\n    fn g() { sleep(PAUSE); }\n}";
    let complaints = sleeps(&[File::seeded("node/src/a.rs", inside)]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].starts_with("node/src/a.rs:4:"),
        "{complaints:?}"
    );
}
