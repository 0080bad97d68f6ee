//! What a node does when its machine is short of something: room on disk, a disk that answers,
//! memory, connections, a clock that is right.
//!
//! `make pressure` runs it. It needs root, for small file systems of its own.

mod pressure {
    mod clock;
    mod connections;
    mod disk;
    mod memory;
    mod repositories;
    mod stall;
}
