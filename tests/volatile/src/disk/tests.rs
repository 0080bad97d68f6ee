//! What stays after a loss of power and what does not, without mounting anything.

use super::*;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

impl Disk {
    fn new_file(&mut self, parent: Number, text: &str, bytes: &[u8]) -> Number {
        let content = Content::File(File::default());
        let number = self.create(parent, name(text), content, 0o644, (0, 0));
        let number = number.unwrap();
        self.file_mut(number).unwrap().write(0, bytes);
        number
    }

    fn new_folder(&mut self, parent: Number, text: &str) -> Number {
        let content = Content::Folder(Folder::default());
        let number = self.create(parent, name(text), content, 0o755, (0, 0));
        number.unwrap()
    }

    /// Every path with its bytes; folders end with `/`.
    fn tree(&self) -> String {
        let mut lines = Vec::new();
        let mut left = vec![(ROOT, String::new())];
        while let Some((parent, path)) = left.pop() {
            for (name, number) in self.folder(parent).unwrap().names() {
                let path = format!("{path}{}", name.to_string_lossy());
                match &self.node(number).unwrap().content {
                    Content::File(file) => {
                        let text = String::from_utf8_lossy(file.read(0, usize::MAX));
                        lines.push(format!("{path}={text}"));
                    }
                    Content::Folder(_) => {
                        lines.push(format!("{path}/"));
                        left.push((number, format!("{path}/")));
                    }
                }
            }
        }
        lines.sort();
        lines.join(" ")
    }

    fn after_loss(&mut self) -> String {
        self.lose_power(Loss::Everything);
        self.tree()
    }
}

#[test]
fn name_stays_with_its_folder_and_bytes_with_their_file() {
    let mut disk = Disk::default();
    let both = disk.new_file(ROOT, "both", b"1");
    let named = disk.new_file(ROOT, "named", b"1");
    disk.sync(both).unwrap();
    disk.sync(ROOT).unwrap();
    let nameless = disk.new_file(ROOT, "nameless", b"1");
    disk.sync(nameless).unwrap();
    assert_eq!(disk.tree(), "both=1 named=1 nameless=1");
    assert_eq!(disk.after_loss(), "both=1 named=");
    assert_eq!(disk.node(named).unwrap().links, 1);
    assert!(disk.node(nameless).is_err());
}

#[test]
fn file_in_a_folder_without_a_durable_name_is_lost() {
    let mut disk = Disk::default();
    let folder = disk.new_folder(ROOT, "a");
    let file = disk.new_file(folder, "b", b"1");
    disk.sync(file).unwrap();
    disk.sync(folder).unwrap();
    assert_eq!(disk.after_loss(), "");

    let folder = disk.new_folder(ROOT, "a");
    let file = disk.new_file(folder, "b", b"1");
    disk.sync(file).unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.after_loss(), "a/");
}

#[test]
fn rename_happens_whole_or_not_at_all() {
    let mut disk = Disk::default();
    let old = disk.new_file(ROOT, "a", b"old");
    disk.sync(old).unwrap();
    let new = disk.new_file(ROOT, "a.new", b"new");
    disk.sync(new).unwrap();
    disk.sync(ROOT).unwrap();
    disk.rename((ROOT, name("a.new")), (ROOT, name("a")), true)
        .unwrap();
    assert_eq!(disk.tree(), "a=new");
    assert_eq!(disk.after_loss(), "a.new=new a=old");
    disk.rename((ROOT, name("a.new")), (ROOT, name("a")), true)
        .unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.after_loss(), "a=new");
}

#[test]
fn rename_to_another_folder_is_durable_in_both_at_once() {
    for synced in [false, true] {
        let mut disk = Disk::default();
        let (a, b) = (disk.new_folder(ROOT, "a"), disk.new_folder(ROOT, "b"));
        let file = disk.new_file(a, "x", b"1");
        for number in [file, a, b, ROOT] {
            disk.sync(number).unwrap();
        }
        disk.rename((a, name("x")), (b, name("y")), true).unwrap();
        if synced {
            disk.sync(b).unwrap();
        }
        let expected = if synced { "a/ b/ b/y=1" } else { "a/ a/x=1 b/" };
        assert_eq!(disk.after_loss(), expected);
    }
}

#[test]
fn removed_names_come_back_unless_the_folder_is_synced() {
    let mut disk = Disk::default();
    let folder = disk.new_folder(ROOT, "a");
    let file = disk.new_file(folder, "b", b"1");
    for number in [file, folder, ROOT] {
        disk.sync(number).unwrap();
    }
    disk.unlink(folder, name("b")).unwrap();
    assert_eq!(disk.file(file).unwrap().read(0, 9), b"1", "it may be open");
    disk.remove_folder(ROOT, name("a")).unwrap();
    assert_eq!(disk.tree(), "");
    assert_eq!(disk.after_loss(), "a/ a/b=1");
    disk.unlink(folder, name("b")).unwrap();
    disk.sync(folder).unwrap();
    assert_eq!(disk.after_loss(), "a/");
}

#[test]
fn links_share_bytes_and_have_names_of_their_own() {
    let mut disk = Disk::default();
    let file = disk.new_file(ROOT, "a", b"1");
    disk.sync(ROOT).unwrap();
    disk.link(file, ROOT, name("b")).unwrap();
    disk.sync(file).unwrap();
    assert_eq!(disk.node(file).unwrap().links, 2);
    assert_eq!(disk.tree(), "a=1 b=1");
    assert_eq!(disk.after_loss(), "a=1");
    assert_eq!(disk.node(file).unwrap().links, 1);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let mut disk = Disk::default();
    let folder = disk.new_folder(ROOT, "a");
    let file = disk.new_file(folder, "b", b"1");
    let refused = |result: Result<(), Errno>, expected: Errno| {
        assert_eq!(result.unwrap_err().code(), expected.code());
    };
    refused(disk.remove_folder(ROOT, name("a")), Errno::ENOTEMPTY);
    refused(disk.unlink(ROOT, name("a")), Errno::EISDIR);
    refused(disk.link(folder, ROOT, name("c")), Errno::EISDIR);
    refused(disk.link(file, ROOT, name("a")), Errno::EEXIST);
    refused(disk.sync(99), Errno::ENOENT);
    let from = (folder, name("b"));
    refused(disk.rename(from, (ROOT, name("a")), true), Errno::EISDIR);
    refused(disk.rename(from, (ROOT, name("a")), false), Errno::EEXIST);
}

#[test]
fn some_loss_keeps_the_first_changes_of_a_folder() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let mut disk = Disk::default();
        for text in ["a", "b", "c"] {
            let number = disk.new_file(ROOT, text, b"");
            disk.sync(number).unwrap();
        }
        disk.lose_power(Loss::Some { seed });
        seen.insert(disk.tree());
    }
    assert_eq!(Vec::from_iter(seen), ["", "a=", "a= b=", "a= b= c="]);
}

#[test]
fn mistaken_sync_does_nothing_and_is_counted() {
    let mut disk = Disk::default();
    let folder = disk.new_folder(ROOT, "log");
    disk.sync(ROOT).unwrap();
    disk.ignore(Mistake {
        is_folder: false,
        pattern: "log/*.log".to_owned(),
    });
    for text in ["1.log", "1.sst"] {
        let number = disk.new_file(folder, text, b"x");
        disk.sync(number).unwrap();
    }
    disk.sync(folder).unwrap();
    assert_eq!(disk.ignored(), 1);
    assert_eq!(disk.after_loss(), "log/ log/1.log= log/1.sst=x");
}

#[test]
fn patterns_fit() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abb", false),
        ("*/MANIFEST-*", "state/1/MANIFEST-5", true),
        ("log/*", "state/log", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
