//! The ages that collection goes by: from the node's configuration into the cluster's settings.
//!
//! What the configuration says becomes the cluster's setting when the node starts; where it says
//! nothing, the cluster's setting stays. So a change arrives with the first node that is restarted
//! with it, and a node without a word of it changes nothing.

use std::time::Duration;

use roadstead_cluster::{Metadata, read};
use roadstead_proto::rpc::metadata::ChangeSettings;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::state::{self, Settings};

use super::CollectionError;
use crate::config::{Collection, Untagged, UploadPurging};
use crate::error::outcome;
use crate::limits::READING_DELAY;

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes the cluster's settings what the configuration says, and fills in what nobody has set yet.
///
/// # Errors
/// [`CollectionError`].
pub async fn settle_ages(
    metadata: &Metadata,
    collection: &Collection,
    purging: &UploadPurging,
) -> Result<(), CollectionError> {
    let settings = metadata.read(|view| read::settings(view)).await?;
    let change = wanted(&settings.unwrap_or_default(), collection, purging);
    if change == ChangeSettings::default() {
        return Ok(());
    }
    tracing::info!(?change, "the cluster's settings are changed");
    let response = metadata.propose(Action::ChangeSettings(change)).await?;
    outcome(response).map_err(|refused| CollectionError::Refused(format!("{refused:?}")))?;
    Ok(())
}

/// What differs from the settings and is written, or is not set yet.
fn wanted(settings: &Settings, collection: &Collection, purging: &UploadPurging) -> ChangeSettings {
    let differs = |found: Option<u64>, written: Option<Duration>, default: Duration| {
        let wanted = match (found, written) {
            (Some(_), None) => return None,
            (_, Some(written)) => milliseconds(written),
            (None, None) => milliseconds(default),
        };
        (found != Some(wanted)).then_some(wanted)
    };
    // Whoever only wants to see what would be removed wants nothing removed.
    let purges = purging.is_enabled && !purging.is_dry_run;
    let age = if purges { purging.age } else { Duration::ZERO };
    let untagged = collection.untagged.as_ref().map(|untagged| match untagged {
        Untagged::Keep => state::Untagged::default(),
        Untagged::Expire { age, repositories } => state::Untagged {
            age_ms: milliseconds(*age),
            repositories: repositories.clone(),
        },
    });
    let grace = collection.grace.map(milliseconds);
    ChangeSettings {
        grace_ms: grace.filter(|grace_ms| *grace_ms != settings.grace_ms),
        reading_delay_ms: differs(
            settings.reading_delay_ms,
            collection.reading_delay,
            READING_DELAY,
        ),
        upload_age_ms: differs(settings.upload_age_ms, purging.is_given.then_some(age), age),
        untagged: untagged.filter(|untagged| settings.untagged.as_ref() != Some(untagged)),
        collection_paused: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn silent() -> (Collection, UploadPurging) {
        let collection = Collection {
            grace: None,
            reading_delay: None,
            untagged: None,
            rate: 500,
            sweep: DAY,
        };
        let purging = UploadPurging {
            is_enabled: true,
            age: 7 * DAY,
            interval: DAY,
            is_dry_run: false,
            is_given: false,
        };
        (collection, purging)
    }

    #[test]
    fn a_new_cluster_gets_defaults_and_keeps_them_from_nodes_that_say_nothing() {
        let (collection, purging) = silent();
        let change = wanted(&Settings::default(), &collection, &purging);
        assert_eq!(change.reading_delay_ms, Some(milliseconds(READING_DELAY)));
        assert_eq!(change.upload_age_ms, Some(milliseconds(7 * DAY)));
        assert_eq!((change.grace_ms, change.untagged), (None, None));
        let settings = Settings {
            reading_delay_ms: Some(5),
            upload_age_ms: Some(6),
            ..Settings::default()
        };
        let change = wanted(&settings, &collection, &purging);
        assert_eq!(change, ChangeSettings::default());
    }

    #[test]
    fn what_is_written_is_set_once() {
        let (mut collection, mut purging) = silent();
        collection.grace = Some(Duration::from_secs(1));
        collection.reading_delay = Some(Duration::ZERO);
        collection.untagged = Some(Untagged::Expire {
            age: DAY,
            repositories: vec!["^ci/".to_owned()],
        });
        (purging.is_given, purging.is_enabled) = (true, false);
        let mut settings = Settings {
            reading_delay_ms: Some(5),
            upload_age_ms: Some(6),
            ..Settings::default()
        };
        let change = wanted(&settings, &collection, &purging);
        assert_eq!(change.grace_ms, Some(1_000));
        assert_eq!(change.reading_delay_ms, Some(0));
        assert_eq!(change.upload_age_ms, Some(0));
        let untagged = change.untagged.clone().expect("a policy");
        assert_eq!(untagged.age_ms, 86_400_000);
        settings.grace_ms = 1_000;
        settings.reading_delay_ms = change.reading_delay_ms;
        settings.upload_age_ms = change.upload_age_ms;
        settings.untagged = change.untagged;
        let change = wanted(&settings, &collection, &purging);
        assert_eq!(change, ChangeSettings::default());
    }

    #[test]
    fn a_dry_run_removes_nothing() {
        let (collection, mut purging) = silent();
        (purging.is_given, purging.is_dry_run) = (true, true);
        let change = wanted(&Settings::default(), &collection, &purging);
        assert_eq!(change.upload_age_ms, Some(0));
    }
}
