//! The file system as processes use it: through the kernel.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;

fn scratch() -> (tempfile::TempDir, Mounted) {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::mount(folder.path());
    let mounted = mounted.expect("FUSE can be mounted here: /dev/fuse, and root or fusermount3");
    (folder, mounted)
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

fn sync(path: &Path) {
    fs::File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn is_a_file_system() {
    let (folder, _mounted) = scratch();
    let root = folder.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    let path = root.join("a/b/file");
    let content: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    fs::write(&path, &content).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
    fs::hard_link(&path, root.join("a/link")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    fs::copy(&path, root.join("a/copy")).unwrap();
    fs::rename(root.join("a/copy"), root.join("copy")).unwrap();
    assert_eq!(fs::read(root.join("copy")).unwrap(), content);

    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    file.set_len(10).unwrap();
    file.write_all_at(b"xyz", 12).unwrap();
    file.seek(SeekFrom::Start(9)).unwrap();
    let mut text = Vec::new();
    file.read_to_end(&mut text).unwrap();
    assert_eq!(text, [9, 0, 0, b'x', b'y', b'z']);
    assert!(fs::File::create_new(&path).is_err());
    fs::File::create(&path).unwrap().write_all(b"new").unwrap();
    assert_eq!(fs::read(root.join("a/link")).unwrap(), b"new");

    file.try_lock().unwrap();
    assert!(fs::File::open(&path).unwrap().try_lock().is_err());
    drop(file);
    let mut names: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "copy"]);
    fs::remove_dir_all(root.join("a")).unwrap();
    assert!(!root.join("a").exists());
}

#[test]
fn folder_with_many_names_is_listed_whole() {
    let (folder, _mounted) = scratch();
    for number in 0..2000 {
        fs::write(folder.path().join(format!("file-{number}")), "").unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2000);
}

#[test]
fn loss_of_power_is_seen_by_processes() {
    let (folder, mut mounted) = scratch();
    let (kept, lost) = (folder.path().join("kept"), folder.path().join("lost"));
    fs::write(&kept, "kept").unwrap();
    sync(&kept);
    sync(folder.path());
    let mut file = fs::File::options().append(true).open(&kept).unwrap();
    file.write_all(b" and lost").unwrap();
    drop(file);
    fs::write(&lost, "lost").unwrap();
    sync(&lost);
    assert_eq!(fs::read(&kept).unwrap(), b"kept and lost");
    mounted.lose_power(Loss::Everything).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"kept");
    assert!(!lost.exists());
    fs::write(&lost, "again").unwrap();
    assert_eq!(fs::read(&lost).unwrap(), b"again");
}

#[test]
fn data_alone_can_be_synced_too() {
    let (folder, mut mounted) = scratch();
    let path = folder.path().join("a");
    let mut file = fs::File::create(&path).unwrap();
    sync(folder.path());
    file.write_all(b"one").unwrap();
    file.sync_data().unwrap();
    file.write_all(b"two").unwrap();
    drop(file);
    mounted.lose_power(Loss::Everything).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one");
}
