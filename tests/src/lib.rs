//! What the black-box tests share: a registry as a process of its own, clients, and content.
//!
//! Nothing here knows the registry's code. It starts the binary that was built beside the tests,
//! speaks HTTP to it, and looks at its data folder from outside.
//!
//! Invariant: a test owns its ports and folders, waits on conditions with a deadline, and ends
//! what it started. So tests run in parallel, and none passes by luck.

pub mod answer;
pub mod asked;
pub mod balancer;
pub mod bucket;
pub mod chance;
pub mod client;
pub mod fixture;
pub mod folder;
pub mod group;
pub mod mount;
pub mod network;
pub mod place;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod recent;
pub mod seed;
pub mod setup;
pub mod shared;
pub mod volume;
pub mod wait;

pub use answer::Answer;
pub use bucket::Bucket;
pub use chance::Chance;
pub use client::{Client, Repository, Upload};
pub use group::Group;
pub use mount::Mount;
pub use network::Network;
pub use place::Place;
pub use process::Registry;
pub use proxy::Proxy;
pub use recent::Recent;
pub use setup::Setup;
pub use volume::Volume;
