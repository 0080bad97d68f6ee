//! Generated protobuf types, nothing else. The `.proto` files are their documentation.
//!
//! Each package has its version as a module, because generated code names it; the present version
//! is what the rest of the code uses.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::clone_on_ref_ptr,
    rustdoc::all,
    reason = "generated from the .proto files"
)]

/// The administration service.
pub mod admin {
    pub use v1::*;
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/roadstead.admin.v1.rs"));
    }

    /// The service's description, encoded, for reflection.
    pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.bin"));
}

/// Commands and answers of the state machine.
pub mod metadata {
    pub use v1::*;
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/roadstead.metadata.v1.rs"));
    }
}

/// What nodes say to each other.
pub mod peer {
    pub use v1::*;
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/roadstead.peer.v1.rs"));
    }
}

/// Rows of the state machine.
pub mod state {
    pub use v1::*;
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/roadstead.state.v1.rs"));
    }
}

/// The Raft log on disk.
pub mod raft {
    pub use v1::*;
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/roadstead.raft.v1.rs"));
    }
}
