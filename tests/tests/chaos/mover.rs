//! Clients that move, delete and read tags of one repository, a few of them each tag at a time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roadstead_tests::fixture::{self, CONFIG, Document, LAYER};
use roadstead_tests::{Answer, Chance, wait};
use serde_json::json;

use super::caller::{Caller, Common, Wrong, count};
use super::register::{Call, History, Told};

/// Calls after which clients go on with a new tag, and calls whose outcome is unknown: the search
/// for an order is exponential in these.
const CALLS_MAX: usize = 40;
const UNKNOWN_MAX: usize = 5;
/// The longest time between an answer and the next call: in the end each tag is read through each
/// node, and there are not to be too many.
const PAUSE_MS: usize = 30;

/// A repository with tags, one after the other.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) repository: String,
    number: u64,
    values: AtomicU32,
    histories: Mutex<Vec<Arc<History>>>,
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Mover<'a> {
    caller: Caller<'a>,
    series: &'a Series,
    client: usize,
    chance: Chance,
}

impl Series {
    pub(super) fn new(number: usize) -> Self {
        Self {
            repository: format!("moved/{number}"),
            number: number as u64,
            values: AtomicU32::new(1),
            histories: Mutex::default(),
        }
    }

    /// Pushes what all manifests consist of, and one manifest, which keeps it.
    pub(super) fn begin(&self, common: &Common) -> Result<(), Wrong> {
        let mut caller = Caller::new(common, 0);
        for content in self.blobs() {
            caller.push(&self.repository, &content)?;
        }
        let first = self.document(0);
        caller.persist(
            &self.repository,
            "PUT of the first manifest",
            |client| self.put(client, "first", &first),
            |status, _| status == 201,
        )?;
        Ok(())
    }

    fn blobs(&self) -> [Vec<u8>; 2] {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","moved":{}}}"#,
            self.number
        );
        [config.into_bytes(), fixture::random(900 + self.number, 500)]
    }

    /// The manifest that stands for a value.
    pub(super) fn document(&self, value: u32) -> Document {
        let [config, layer] = self.blobs();
        let layers = [fixture::descriptor(LAYER, &layer)];
        let image = fixture::image(&fixture::descriptor(CONFIG, &config), &layers);
        image.with("annotations", json!({ "value": value.to_string() }))
    }

    fn put(
        &self,
        client: &roadstead_tests::Client,
        tag: &str,
        document: &Document,
    ) -> roadstead_tests::client::Request {
        let path = format!("manifests/{tag}");
        let request = client.repository(&self.repository).request("PUT", &path);
        let request = request.header("content-type", &document.media_type);
        request.body(document.bytes())
    }

    /// All tags that there were.
    pub(super) fn histories(&self) -> Vec<Arc<History>> {
        let histories = self.histories.lock();
        histories.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tag that it is the turn of.
    fn current(&self) -> Arc<History> {
        let mut histories = self
            .histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fits = |history: &&Arc<History>| {
            let (calls, unknown) = history.size();
            calls < CALLS_MAX && unknown < UNKNOWN_MAX
        };
        if let Some(current) = histories.last().filter(fits) {
            return Arc::clone(current);
        }
        let next = Arc::new(History::new(format!("t{}", histories.len())));
        histories.push(Arc::clone(&next));
        next
    }

    /// What a tag was found to name.
    fn value(&self, answer: &Answer) -> Option<u32> {
        let value = answer.json()["annotations"]["value"]
            .as_str()?
            .parse()
            .ok()?;
        let document = self.document(value);
        let is_it = answer.body == document.bytes()
            && answer.header("docker-content-digest") == document.digest().as_str();
        is_it.then_some(value)
    }

    /// Makes one call. Whether it was answered.
    pub(super) fn call(
        &self,
        caller: &Caller<'_>,
        history: &History,
        client: usize,
        node: usize,
        call: Call,
    ) -> Result<bool, Wrong> {
        let common = caller.common;
        let tag = &history.tag;
        let number = history.start(client, node, call);
        let answer = caller.once(node, &self.repository, |client| {
            let path = format!("manifests/{tag}");
            let repository = client.repository(&self.repository);
            match call {
                Call::Put(value) => {
                    let request = self.put(client, tag, &self.document(value));
                    (format!("PUT {tag}"), request)
                }
                Call::Delete => (format!("DELETE {tag}"), repository.request("DELETE", &path)),
                Call::Get => (format!("GET {tag}"), repository.request("GET", &path)),
            }
        });
        let Some(answer) = answer else {
            return Ok(false);
        };
        let told = match (call, answer.status) {
            (Call::Put(_), 201) => Some(Told::Taken),
            (Call::Delete, 202) => Some(Told::Deleted(true)),
            (Call::Delete, 404) => Some(Told::Deleted(false)),
            (Call::Get, 200) => self.value(&answer).map(|value| Told::Found(Some(value))),
            (Call::Get, 404) => Some(Told::Found(None)),
            _ => None,
        };
        let Some(told) = told else {
            let history = history.text(common.journal.began());
            let complaint = format!("a wrong answer: {answer}\n{history}");
            return Err(caller.wrong(&self.repository, &complaint));
        };
        history.end(number, told);
        count(&common.counts.moves);
        Ok(true)
    }

    /// A value that no manifest had before.
    pub(super) fn fresh(&self) -> u32 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

impl<'a> Mover<'a> {
    pub(super) fn new(
        common: &'a Common,
        series: &'a Series,
        client: usize,
        chance: Chance,
    ) -> Self {
        Self {
            caller: Caller::new(common, client),
            series,
            client,
            chance,
        }
    }

    /// Works until there are no more faults.
    pub(super) fn work(&mut self) -> Result<(), Wrong> {
        let common = self.caller.common;
        let is_over = || common.is_over() || common.has_failed.load(Ordering::Acquire);
        while !is_over() {
            let history = self.series.current();
            let call = match self.chance.below(100) {
                0..45 => Call::Get,
                45..88 => Call::Put(self.series.fresh()),
                _ => Call::Delete,
            };
            let node = self.caller.next();
            let (series, client) = (self.series, self.client);
            series.call(&self.caller, &history, client, node, call)?;
            let pause = self.chance.below(PAUSE_MS) as u64;
            wait::last(Duration::from_millis(pause), is_over);
        }
        Ok(())
    }
}
