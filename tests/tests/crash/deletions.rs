//! What was deleted before the answer does not come back: nobody would ever look for it again.

use roadstead_tests::folder::{self, Objects};

use super::seed;
use super::stage::Stage;

#[test]
fn bytes_of_a_cancelled_upload_stay_away() {
    let seed = seed::take();
    let mut stage = Stage::on_volume(seed.chance()).merciless();
    stage.registry.run();
    let repository = stage.registry.repository("crash/cancelled");
    let mut upload = repository.start_upload();
    upload.patch(&[1; 50_000]).expect(202);
    upload.cancel().expect(204);
    stage.lose_power();
    stage.registry.run();
    let volume = stage.volume.as_ref().expect("it is on a volume");
    let objects = folder::objects(&volume.path().join("root"));
    assert_eq!(objects, Objects::default());
    upload.request("GET").send().expect(404);
}
