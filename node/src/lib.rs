//! The process: configuration, HTTP, actors, and the use cases behind them.
//!
//! Architecture invariant: this is the only crate that knows HTTP, actors and configuration.
//!
//! In reading order: what a user types (`cli`), what a node is made of and in which order it
//! starts (`node`, `founding`, `restoring`), what it answers (`http`), what that means (`service`,
//! `upload`), how requests wait for each other (`actor`), what is taken away again (`collection`),
//! whether the store holds what it should (`verify`), and what operators see and ask (`admin`).

pub mod cli;
pub mod config;
pub mod node;

pub mod founding;
pub mod restoring;

pub mod http;

pub mod service;
pub mod upload;

pub mod actor;

pub mod collection;
pub mod verify;

pub mod admin;

pub mod error;
pub mod health;
pub mod limits;
pub mod space;
pub mod store_guard;
pub mod telemetry;

#[cfg(test)]
mod testing;
