//! The history of one tag, and whether it is linearizable: whether all calls can be put in one
//! order, in which each takes effect between its start and its end and tells what a tag would tell.
//!
//! The search is `stateright`'s. It is exponential in what happens at once, and so a tag has few
//! clients and a few dozen calls. A call whose outcome is unknown may take effect at any time
//! later: it stays in flight for ever, as the call of a thread that does nothing else.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// Far longer than the search for an order takes where there is one.
const SEARCH_MAX: Duration = Duration::from_secs(60);
/// The search tries threads in order, and calls in flight only where nothing else fits.
const IN_FLIGHT: usize = 1_000_000;

/// A tag: the manifest that it names, if it is there.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Tag(Option<u32>);

/// What a client asks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Call {
    Put(u32),
    Delete,
    Get,
}

/// What it is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Told {
    Taken,
    /// Whether there was anything to delete.
    Deleted(bool),
    Found(Option<u32>),
}

/// What the checker says of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Linearizable,
    NotLinearizable,
    /// The search has not come to an end.
    Undecided,
}

/// Everything that was asked about one tag.
#[derive(Debug)]
pub(super) struct History {
    /// The name of the tag.
    pub(super) tag: String,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    calls: Vec<Made>,
    // Starts and ends in the order in which they happened.
    moments: Vec<Moment>,
}

#[derive(Debug)]
struct Made {
    client: usize,
    node: usize,
    call: Call,
    began: Instant,
    told: Option<(Instant, Told)>,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    Start(usize),
    End(usize),
}

impl SequentialSpec for Tag {
    type Op = Call;
    type Ret = Told;

    fn invoke(&mut self, call: &Call) -> Told {
        match *call {
            Call::Put(value) => {
                self.0 = Some(value);
                Told::Taken
            }
            Call::Delete => Told::Deleted(self.0.take().is_some()),
            Call::Get => Told::Found(self.0),
        }
    }
}

impl Record {
    fn is_unanswered_write(made: &Made) -> bool {
        made.told.is_none() && made.call != Call::Get
    }

    fn tester(&self) -> LinearizabilityTester<usize, Tag> {
        const EACH_ONCE: &str = "a client has one call at a time";
        let mut tester = LinearizabilityTester::new(Tag::default());
        for moment in &self.moments {
            match *moment {
                Moment::Start(number) => {
                    let made = &self.calls[number];
                    let thread = match made.told {
                        Some(_) => made.client,
                        // What was not told to anybody says nothing.
                        None if made.call == Call::Get => continue,
                        None => IN_FLIGHT + number,
                    };
                    tester.on_invoke(thread, made.call).expect(EACH_ONCE);
                }
                Moment::End(number) => {
                    let made = &self.calls[number];
                    if let Some((_, told)) = made.told {
                        tester.on_return(made.client, told).expect(EACH_ONCE);
                    }
                }
            }
        }
        tester
    }
}

impl History {
    pub(super) fn new(tag: String) -> Self {
        Self {
            tag,
            record: Mutex::default(),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client is about to ask.
    pub(super) fn start(&self, client: usize, node: usize, call: Call) -> usize {
        let mut record = self.record();
        let number = record.calls.len();
        record.calls.push(Made {
            client,
            node,
            call,
            began: Instant::now(),
            told: None,
        });
        record.moments.push(Moment::Start(number));
        number
    }

    /// It was told.
    pub(super) fn end(&self, number: usize, told: Told) {
        let mut record = self.record();
        record.calls[number].told = Some((Instant::now(), told));
        record.moments.push(Moment::End(number));
    }

    /// How many calls there were, and how many of them may still take effect at any time, as far
    /// as is known: those that are under way count too.
    pub(super) fn size(&self) -> (usize, usize) {
        let record = self.record();
        let open = record.calls.iter();
        let open = open.filter(|made| Record::is_unanswered_write(made));
        (record.calls.len(), open.count())
    }

    /// Looks for an order.
    pub(super) fn judge(&self) -> Verdict {
        let tester = self.record().tester();
        let (sender, found) = mpsc::channel();
        // It cannot be told to end: a search that takes too long fails the test, and ends with it.
        thread::spawn(move || {
            let _ = sender.send(tester.is_consistent());
        });
        match found.recv_timeout(SEARCH_MAX) {
            Ok(true) => Verdict::Linearizable,
            Ok(false) => Verdict::NotLinearizable,
            Err(_) => Verdict::Undecided,
        }
    }

    /// For people, in milliseconds.
    pub(super) fn text(&self, since: Instant) -> String {
        let record = self.record();
        let after = |at: Instant| at.saturating_duration_since(since).as_millis();
        let mut text = format!("the history of the tag {}:\n", self.tag);
        for made in &record.calls {
            let Made {
                client, node, call, ..
            } = made;
            let _ = write!(text, "{:>7} ", after(made.began));
            let _ = match made.told {
                Some((at, told)) => writeln!(
                    text,
                    "to {:>7} client {client} node {node} {call:?}: {told:?}",
                    after(at)
                ),
                None => writeln!(
                    text,
                    "to       ? client {client} node {node} {call:?}: unknown"
                ),
            };
        }
        text
    }
}

/// Makes a history from starts (`Some(call)`) and ends (`None` and what is told) of clients.
fn of(moments: &[(usize, Result<Call, Told>)]) -> Verdict {
    let history = History::new("t".to_owned());
    let mut open = std::collections::BTreeMap::new();
    for (client, moment) in moments {
        match moment {
            Ok(call) => {
                open.insert(*client, history.start(*client, 0, *call));
            }
            Err(told) => {
                let number = open.remove(client).expect("it has asked");
                history.end(number, *told);
            }
        }
    }
    history.judge()
}

#[test]
fn histories_are_judged() {
    use Verdict::{Linearizable, NotLinearizable};
    let put = |value| Ok(Call::Put(value));
    let found = |value| Err(Told::Found(value));
    let (get, taken) = (Ok(Call::Get), Err(Told::Taken));
    let delete = Ok(Call::Delete);
    let deleted = |was| Err(Told::Deleted(was));
    let stale = [
        (0, put(1)),
        (0, taken),
        (0, put(2)),
        (0, taken),
        (1, get),
        (1, found(Some(1))),
    ];
    // While it is being moved, a tag may be read as it was or as it will be, but not back again.
    let meanwhile = [
        (0, put(1)),
        (0, taken),
        (0, put(2)),
        (1, get),
        (1, found(Some(1))),
        (1, get),
        (1, found(Some(2))),
        (0, taken),
    ];
    let back = [
        (0, put(1)),
        (0, taken),
        (0, put(2)),
        (1, get),
        (1, found(Some(2))),
        (1, get),
        (1, found(Some(1))),
        (0, taken),
    ];
    // What was not answered may happen late, or never; and only once.
    let late = [
        (0, put(1)),
        (1, put(2)),
        (1, taken),
        (1, get),
        (1, found(Some(2))),
        (1, get),
        (1, found(Some(1))),
    ];
    let twice = [
        (0, put(1)),
        (1, get),
        (1, found(Some(1))),
        (1, put(2)),
        (1, taken),
        (1, get),
        (1, found(Some(1))),
    ];
    let gone = [
        (0, put(1)),
        (0, taken),
        (0, delete),
        (0, deleted(true)),
        (1, get),
        (1, found(None)),
        (1, delete),
        (1, deleted(false)),
    ];
    let lost = [(0, put(1)), (0, taken), (1, get), (1, found(None))];
    let not_there = [(0, put(1)), (0, taken), (1, delete), (1, deleted(false))];
    for (name, moments, expected) in [
        ("stale", stale.as_slice(), NotLinearizable),
        ("meanwhile", &meanwhile, Linearizable),
        ("back", &back, NotLinearizable),
        ("late", &late, Linearizable),
        ("twice", &twice, NotLinearizable),
        ("gone", &gone, Linearizable),
        ("lost", &lost, NotLinearizable),
        ("not there", &not_there, NotLinearizable),
    ] {
        assert_eq!(of(moments), expected, "{name}");
    }
}
