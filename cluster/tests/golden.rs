//! The bytes of every command, answer, key and row.
//!
//! These lie on disk for ever: commands in the Raft log, rows and answers in the state and in
//! snapshots. Nodes of different versions read each other's. So a line of these snapshots never
//! changes and never goes; a changed meaning is a new variant, a new field is a new line. If a test
//! here fails, the code is wrong, not the snapshot: do not run it with `UPDATE_EXPECT=1`, except
//! to add what is new.
//!
//! Each sample has every field set. A new variant does not compile until it has a sample, because
//! the samples are listed by matches without a wildcard.

#[path = "golden/commands.rs"]
mod commands;
#[path = "golden/rows.rs"]
mod rows;

use std::fmt::Debug;

use prost::Message;

/// Twenty-four bytes a line.
fn hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| -> String { bytes.iter().map(|it| format!("{it:02x}")).collect() };
    let lines: Vec<_> = bytes.chunks(24).map(line).collect();
    lines.join("\n    ")
}

/// The bytes of a message, which must come back as the same message.
fn encoded<M: Message + Default + PartialEq + Debug>(message: &M) -> String {
    let bytes = message.encode_to_vec();
    let decoded = M::decode(bytes.as_slice()).expect("a message that decodes");
    assert_eq!(&decoded, message);
    hex(&bytes)
}
