//! Many repositories, many writes to one, and one that nobody writes to.

use std::sync::mpsc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use futures::future::{join, join_all};
use roadstead_cluster::Options;
use roadstead_storage::Memory;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::founding;
use crate::testing::until;

/// Repositories over metadata of their own, on this arbiter.
struct Stage {
    repositories: Repositories,
    // Raft lives on it. There until the stage is dropped.
    runtime: Option<Runtime>,
    _folder: tempfile::TempDir,
}

impl Drop for Stage {
    /// A runtime must not wait for its end inside of another.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn stage(arbiter: &Arbiter) -> Stage {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        datadir: folder.path().to_owned(),
        proposal_timeout: Duration::from_secs(30),
        snapshot_after_entries: 10_000,
        keep_entries: 1_000,
        feature_level_max: 1,
        cluster: None,
    };
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("the system gives threads");
    let opened = runtime.spawn(async move {
        let metadata = Metadata::open(&options).await.expect("the metadata open");
        let taken = founding::take_part(&metadata, &Memory::new()).await;
        taken.expect("the node founds its cluster");
        metadata
    });
    let metadata = opened.await.expect("it does not panic");
    let arbiters = Arbiters::new(vec![arbiter.handle()]);
    Stage {
        repositories: Repositories::new(metadata, arbiters),
        runtime: Some(runtime),
        _folder: folder,
    }
}

fn name(number: usize) -> RepositoryName {
    format!("a/r{number}").parse().expect("a name")
}

#[test]
fn idle_repositories_make_room_for_others() {
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let Stage { repositories, .. } = &stage(&arbiter).await;
        for number in 0..REPOSITORIES_ACTIVE_MAX {
            repositories.mailbox(&name(number)).expect("there is room");
        }
        let kept = || repositories.active.lock().expect("nobody panicked").len();
        assert_eq!(kept(), REPOSITORIES_ACTIVE_MAX);
        let another = name(REPOSITORIES_ACTIVE_MAX);
        repositories.mailbox(&another).expect("room is made");
        assert_eq!(kept(), 1);
    });
}

#[test]
fn more_writes_than_may_wait_are_told_so() {
    const BEYOND: usize = 44;
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let Stage { repositories, .. } = &stage(&arbiter).await;
        let name = &name(0);
        let writes = (0..REPOSITORY_MAILBOX + BEYOND).map(|number| {
            let delete = command::DeleteTag {
                repository: name.to_string(),
                tag: number.to_string(),
            };
            repositories.delete_tag(name, delete)
        });
        // None is answered before all have asked.
        let (release, held) = mpsc::channel::<()>();
        arbiter.spawn_fn(move || {
            let _ended = held.recv();
        });
        let answers = join(join_all(writes), async { drop(release) }).await.0;
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(RegistryError::TooMany(_))));
        assert_eq!(refused.count(), BEYOND);
    });
}

#[test]
fn a_repository_that_nobody_writes_to_ends() {
    System::new().block_on(async {
        // Its clock passes by itself when it has nothing to do.
        let arbiter = Arbiter::with_tokio_rt(|| {
            let paused = Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build();
            paused.expect("the system gives a runtime")
        });
        let Stage { repositories, .. } = &stage(&arbiter).await;
        let mailbox = repositories.mailbox(&name(0)).expect("there is room");
        until("it ends", async || !mailbox.is_open()).await;
        assert_eq!(repositories.count(), 0);
    });
}
