//! The HTTP API from outside: one module for each group of the specification's endpoints.
//!
//! Most tests share one registry and use repositories of their own; those with a setup of their
//! own start one.

mod endpoints {
    mod base;
    mod catalog;
    mod chunked;
    mod delete;
    mod headers;
    mod large;
    mod locations;
    mod manifests;
    mod modes;
    mod mount;
    mod pull;
    mod push;
    mod ranges;
    mod referrers;
    mod tags;
    mod validation;
}
