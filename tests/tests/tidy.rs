//! The project's own rules, held by tests: who may know what, and how files look.
//!
//! Each rule is a function from files to complaints. It is shown to catch a seeded violation
//! before its silence about the real files counts.

mod tidy {
    mod arrows;
    mod documents;
    mod knowledge;
    mod layout;
    mod source;
    mod text;
}
