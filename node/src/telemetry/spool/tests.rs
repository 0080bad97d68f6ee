//! The spool with streams that remember, stand still or fail.

use std::sync::mpsc;

use super::*;

/// Long enough for any machine; nothing waits for it to pass.
pub(in crate::telemetry) const DEADLINE: Duration = Duration::from_secs(30);

/// A stream that remembers what it took.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(in crate::telemetry) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that tells of each call and then stands still until it is let go.
struct Gate {
    entered: mpsc::Sender<()>,
    opened: mpsc::Receiver<()>,
    memory: Memory,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.opened.recv();
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that answers these before it takes anything.
struct Moody(Vec<io::Result<usize>>, Memory);

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.pop() {
            Some(Ok(taken)) => self.1.write(&bytes[..taken]),
            Some(Err(error)) => Err(error),
            None => self.1.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_arrive_whole_and_in_order() {
    let memory = Memory::default();
    let spool = Spool::start("test", Box::new(memory.clone()), None).unwrap();
    let mut expected = String::new();
    for number in 0..1_000 {
        let line = format!("line {number}\n");
        spool.push(line.as_bytes());
        expected.push_str(&line);
    }
    assert!(spool.flush(DEADLINE));
    assert_eq!(memory.text(), expected);
    assert_eq!(spool.dropped().count(), 0);
}

#[test]
fn a_stream_that_stands_still_costs_lines_and_no_time() {
    let (memory, (entered, has_entered), (open, opened)) =
        (Memory::default(), mpsc::channel(), mpsc::channel());
    let gate = Gate {
        entered,
        opened,
        memory: memory.clone(),
    };
    let notice: Notice = Box::new(|dropped| format!("{dropped} dropped\n").into_bytes());
    let spool = Spool::start("test", Box::new(gate), Some(notice)).unwrap();
    spool.push(b"first\n");
    has_entered.recv_timeout(DEADLINE).unwrap();
    let line = [vec![b'x'; LOG_PENDING_BYTES_MAX / 4 - 1], vec![b'\n']].concat();
    for _ in 0..7 {
        spool.push(&line);
    }
    assert_eq!(spool.dropped().count(), 3);
    assert!(!spool.flush(Duration::from_millis(1)));
    drop(open);
    assert!(spool.flush(DEADLINE));
    let text = memory.text();
    assert_eq!(text.len(), 6 + LOG_PENDING_BYTES_MAX + 10);
    assert!(text.ends_with("\n3 dropped\n"));
}

#[test]
fn a_dropped_spool_writes_what_it_has() {
    let (memory, (entered, has_entered), (open, opened)) =
        (Memory::default(), mpsc::channel(), mpsc::channel());
    let gate = Gate {
        entered,
        opened,
        memory: memory.clone(),
    };
    let spool = Spool::start("test", Box::new(gate), None).unwrap();
    spool.push(b"first\n");
    has_entered.recv_timeout(DEADLINE).unwrap();
    spool.push(b"second\n");
    drop((spool, open));
    // The thread drops the stream, and so the sender, when it ends.
    while has_entered.recv_timeout(DEADLINE).is_ok() {}
    assert_eq!(memory.text(), "first\nsecond\n");
}

#[test]
fn an_obstinate_stream_gets_the_rest_and_a_broken_one_is_borne() {
    let memory = Memory::default();
    let answers = vec![
        Ok(2),
        Err(io::ErrorKind::WouldBlock.into()),
        Err(io::ErrorKind::Interrupted.into()),
        Ok(1),
    ];
    let moody = Moody(answers, memory.clone());
    let spool = Spool::start("test", Box::new(moody), None).unwrap();
    spool.push(b"line\n");
    assert!(spool.flush(DEADLINE));
    assert_eq!(memory.text(), "line\n");

    let memory = Memory::default();
    let moody = Moody(
        vec![Ok(0), Err(io::ErrorKind::BrokenPipe.into())],
        memory.clone(),
    );
    let spool = Spool::start("test", Box::new(moody), None).unwrap();
    for line in ["lost\n", "lost, too\n", "kept\n"] {
        spool.push(line.as_bytes());
        assert!(spool.flush(DEADLINE));
    }
    assert_eq!(memory.text(), "kept\n");
}
