//! Generates the protobuf types and services. `protox` parses the files, so that no `protoc` is
//! needed.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const FILES: [&str; 5] = [
    "proto/admin.proto",
    "proto/metadata.proto",
    "proto/peer.proto",
    "proto/state.proto",
    "proto/raft.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(FILES, ["proto"])?;
    let mut prost = prost_build::Config::new();
    // Maps must iterate in one order on every node: `apply` is deterministic.
    prost.btree_map(["."]);
    // A manifest's body is shared, not copied, between log, state and answer.
    prost.bytes(["."]);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, prost)?;

    // For reflection, which wants the comments too.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("proto/admin.proto")?;
    let described = PathBuf::from(env::var("OUT_DIR")?).join("admin.bin");
    fs::write(described, compiler.encode_file_descriptor_set())?;

    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    Ok(())
}
