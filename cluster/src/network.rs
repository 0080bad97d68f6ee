//! How nodes reach each other: gRPC, with a connection for each purpose.
//!
//! `client` is what Raft sends by and `server` what it hears by; `calls` is what nodes ask of the
//! leader; `place` says who speaks and who is meant, which every call carries; `tls` is what
//! connections are made of; `transfer` moves snapshots as files; `wire` translates. A node alone
//! has no server, and its address is empty.

pub(crate) mod calls;
mod client;
mod place;
mod server;
mod tls;
mod transfer;
mod wire;

pub(crate) use client::Network;
pub(crate) use place::Place;
pub(crate) use server::{Served, Server};
pub use tls::{Connection, Connector, Tls, TlsError, TlsFiles};
pub(crate) use transfer::{Kept, received, sent};
