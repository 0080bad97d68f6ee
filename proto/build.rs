//! Generates the protobuf types. `protox` parses the files, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 3] = [
    "proto/metadata.proto",
    "proto/state.proto",
    "proto/raft.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        // Maps must iterate in one order on every node: `apply` is deterministic.
        .btree_map(["."])
        // A manifest's body is shared, not copied, between log, state and answer.
        .bytes(["."])
        .compile_fds(descriptors)?;
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    Ok(())
}
