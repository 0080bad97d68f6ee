//! What a node does when its machine is short of something: room on disk, a disk that answers,
//! memory, connections, a clock that is right; and each limit that can be reached from outside.
//!
//! `make pressure` runs it. It needs root, for small file systems of its own.

mod pressure {
    mod clock;
    mod connections;
    mod disk;
    mod limits;
    mod memory;
    mod repositories;
    mod stall;
    mod times;
}
