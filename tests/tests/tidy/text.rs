//! What no file of the project may hold, whatever its kind.

use super::source::{File, files, lines_with, none};

/// Words for what is not done yet: an issue or a decision record is the place for that.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Package registries: their ordinary clients know where they are.
const REGISTRIES: [&str; 9] = [
    concat!("crates", ".io"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("proxy.go", "lang.org"),
    concat!("sum.go", "lang.org"),
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("ruby", "gems.org"),
    concat!("maven", ".org"),
];

/// Folders of one machine.
const MACHINE: [&str; 3] = [
    concat!("/wo", "rk"),
    concat!("/ro", "ot"),
    concat!("/ho", "me"),
];

fn is_generated(file: &File) -> bool {
    file.path.ends_with(".lock")
}

fn each_line(files: &[File], look: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !is_generated(file)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(what) = look(line) {
                complaints.push(format!("{}:{}: {what}", file.path, index + 1));
            }
        }
    }
    complaints
}

fn unfinished(files: &[File]) -> Vec<String> {
    each_line(files, |line| {
        let found = UNFINISHED
            .iter()
            .find(|word| !lines_with(line, word).is_empty());
        found.map(|word| format!("{word}: finish it, or write an issue"))
    })
}

fn registries(files: &[File]) -> Vec<String> {
    each_line(files, |line| {
        let found = REGISTRIES.iter().find(|host| line.contains(*host));
        found.map(|host| format!("{host}: package registries are not named here"))
    })
}

/// A path that begins at the root of one machine, and is not part of a longer one.
fn machine_paths(files: &[File]) -> Vec<String> {
    let begins = |before: Option<char>| {
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-}>)*$/]".contains(c)))
    };
    let ends =
        |after: Option<char>| after.is_none_or(|c| !(c.is_alphanumeric() || "_-.".contains(c)));
    each_line(files, |line| {
        MACHINE.iter().find_map(|folder| {
            let mut places = line.match_indices(folder);
            let found = places.any(|(start, found)| {
                let before = line[..start].chars().next_back();
                let after = line[start + found.len()..].chars().next();
                begins(before) && ends(after)
            });
            found.then(|| format!("{folder}: a path of one machine"))
        })
    })
}

fn white_space(files: &[File]) -> Vec<String> {
    let mut complaints = each_line(files, |line| {
        let is_bad = line.ends_with(|c: char| c.is_whitespace());
        is_bad.then(|| "white space at the end".to_owned())
    });
    for file in files.iter().filter(|file| !is_generated(file)) {
        let is_snapshot = file.path.contains("/snapshots/");
        if !file.text.is_empty() && !file.text.ends_with('\n') && !is_snapshot {
            complaints.push(format!("{}: no line end at the end", file.path));
        }
        if file.text.contains('\r') {
            complaints.push(format!("{}: line ends of Windows", file.path));
        }
    }
    complaints
}

#[test]
fn nothing_is_marked_as_unfinished() {
    none(unfinished(&files()));
}

#[test]
fn no_package_registry_is_named() {
    none(registries(&files()));
}

#[test]
fn no_path_of_one_machine_is_named() {
    none(machine_paths(&files()));
}

#[test]
fn no_line_ends_in_white_space() {
    none(white_space(&files()));
}

#[test]
fn each_bad_text_is_seen() {
    type Rule = fn(&[File]) -> Vec<String>;
    let word = |list: &[&str]| {
        list.first()
            .map(|word| format!("a {word} b"))
            .unwrap_or_default()
    };
    let (to_do, host) = (word(&UNFINISHED), word(&REGISTRIES));
    let [work, root, home] = MACHINE;
    let table: [(Rule, String, String); 9] = [
        (unfinished, to_do, "a to-do b".to_owned()),
        (
            unfinished,
            format!("// {}: later", UNFINISHED[1]),
            "FIXED".to_owned(),
        ),
        (
            unfinished,
            UNFINISHED[2].to_owned(),
            format!("mktemp {0}{0}", UNFINISHED[2]),
        ),
        (registries, host, "a crate of io".to_owned()),
        (
            machine_paths,
            format!("cd {work}/main"),
            "<root>/work/main".to_owned(),
        ),
        (
            machine_paths,
            format!("\"{root}/a\""),
            format!("x{root}/a <root>/a ${{r}}{root}"),
        ),
        (
            machine_paths,
            format!("{home}/somebody"),
            "$HOME/.cargo".to_owned(),
        ),
        (white_space, "a ".to_owned(), "a".to_owned()),
        (white_space, "a\t".to_owned(), "\ta".to_owned()),
    ];
    for (rule, bad, good) in table {
        let with = |text: &str| rule(&[File::seeded("a.md", &format!("x\n{text}\n"))]);
        let complaints = with(&bad);
        assert_eq!(complaints.len(), 1, "{bad:?}: {complaints:?}");
        assert!(complaints[0].starts_with("a.md:2:"), "{complaints:?}");
        assert_eq!(with(&good), [""; 0], "{good:?}");
    }
    let unended = File::seeded("a.md", "a");
    assert_eq!(white_space(&[unended]).len(), 1);
    let windows = File::seeded("a.md", "a\r\n");
    assert_eq!(white_space(&[windows]).len(), 1);
}
