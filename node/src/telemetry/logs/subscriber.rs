//! What `tracing` calls: remembers the fields of spans, and turns events into lines.
//!
//! It does not decide what is logged; the filter beside it does.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::record::{Fields, Record};
use super::style::Style;
use crate::telemetry::spool::Spool;

/// Writes each event as a line, with the fields of the spans that it happened in.
#[derive(Debug)]
pub(super) struct Lines {
    spool: Arc<Spool>,
    style: Arc<Style>,
    now: fn() -> SystemTime,
}

impl Lines {
    pub(super) fn new(spool: Arc<Spool>, style: Arc<Style>, now: fn() -> SystemTime) -> Self {
        Self { spool, style, now }
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        // Formatting a value may log, so it is done before the span is locked.
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(known) = span.extensions_mut().get_mut::<Fields>()
        {
            known.extend(&fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.take_message();
        let mut fields = Fields::default();
        let spans = context.event_scope(event).into_iter();
        for span in spans.flat_map(|scope| scope.from_root()) {
            if let Some(known) = span.extensions().get::<Fields>() {
                fields.extend(known);
            }
        }
        fields.extend(&own);
        let metadata = event.metadata();
        self.spool.push(&self.style.render(&Record {
            at: (self.now)(),
            level: *metadata.level(),
            message: message.as_ref().and_then(Value::as_str).unwrap_or_default(),
            fields: &fields,
            target: metadata.target(),
            place: metadata.file().zip(metadata.line()),
        }));
    }
}
