//! Going back to what was acknowledged, and going on under a fresh key.
//!
//! A key is never written twice: where bytes of an attempt may lie under it, or the store takes no
//! more there, the upload claims a fresh one of its own, which is known before it is written. Until
//! a checkpoint or the commit on that key is applied, the row keeps the former key and checkpoint,
//! so a crash in between loses nothing that a client was told.

use roadstead_proto::digest::Hasher;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::state;
use roadstead_storage::Checkpoint;

use super::claim::{claim_of, claimed_row, parse_key};
use super::{Failure, Upload};
use crate::error::RegistryError;

impl Upload {
    /// Drops what was not acknowledged.
    pub(super) async fn rewind(&mut self) -> Result<(), Failure> {
        let Some(checkpoint) = self.acknowledged.checkpoint.clone() else {
            return self.start_over().await;
        };
        if let Some(mut writer) = self.writer.take() {
            // Nothing that it has sent may arrive later, in the place of what follows.
            writer.checkpoint().await.map_err(store_failed)?;
        }
        if self.former_key.is_some() {
            self.take_over(&checkpoint).await?;
        } else {
            let resumed = self.tools.store.resume(&self.object_key, &checkpoint).await;
            self.writer = Some(resumed.map_err(store_failed)?);
        }
        self.hasher = Hasher::restore(&self.acknowledged.hash_state);
        self.offset = self.acknowledged.offset;
        Ok(())
    }

    /// Begins anew: nothing was acknowledged.
    async fn start_over(&mut self) -> Result<(), Failure> {
        drop(self.writer.take());
        self.claim_fresh_key().await?;
        self.hasher = Some(Hasher::new(self.algorithm));
        self.offset = 0;
        Ok(())
    }

    /// Goes on where a sealed writer ends: what it has stored is whole, and more goes elsewhere.
    pub(super) async fn move_on(&mut self) -> Result<(), Failure> {
        let Some(mut writer) = self.writer.take() else {
            return Err(Failure::broken(RegistryError::internal(
                "a move without a writer",
            )));
        };
        // That which sealed it, at no cost.
        let checkpoint = writer.checkpoint().await.map_err(store_failed)?;
        drop(writer);
        self.take_over(&checkpoint).await
    }

    /// Has the bytes before the checkpoint moved from the key that it is of to a fresh one.
    async fn take_over(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let former = self.former_key.as_ref().unwrap_or(&self.object_key).clone();
        let row = self.claim_fresh_key().await?;
        if row.former_key != former.as_str() {
            // The checkpoint was never recorded, so its key is reclaimed by now.
            let reason = format!("upload {} lost {former}", self.id);
            return Err(Failure::broken(RegistryError::internal(reason)));
        }
        let store = &self.tools.store;
        let taken = store.take_over(&former, checkpoint, &self.object_key).await;
        self.writer = Some(taken.map_err(store_failed)?);
        self.former_key = Some(former);
        Ok(())
    }

    /// Takes a key that was never used, as every claim does of an upload that was not released.
    async fn claim_fresh_key(&mut self) -> Result<state::Upload, Failure> {
        let claim = claim_of(&self.tools, self.id, self.epoch);
        let claimed = self
            .tools
            .propose(self.id, Action::ClaimUpload(claim))
            .await;
        let row = claimed_row(claimed.map_err(Failure::broken)?).map_err(Failure::broken)?;
        self.object_key = parse_key(&row.object_key).map_err(Failure::broken)?;
        self.epoch = row.epoch;
        Ok(row)
    }
}

fn store_failed(error: roadstead_storage::Error) -> Failure {
    Failure::broken(RegistryError::store(error))
}
