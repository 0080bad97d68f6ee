//! A first start that is cut short at each crash point: the next one founds the cluster or goes on.

use roadstead_crash::Point;
use roadstead_tests::Chance;

use super::seed::Seed;
use super::stage::Stage;

/// How often each point is tried: the first start passes most of them a few times.
const PASSAGES: usize = 4;

#[test]
fn first_start_that_is_cut_short_is_gone_on_with() {
    let seed = Seed::take();
    let (mut kills, mut chance) = (0, seed.chance());
    for point in Point::ALL {
        for passage in 1..=PASSAGES {
            let aim = format!("{}:{passage}", point.name());
            let mut stage = Stage::on_volume(Chance::new(chance.number()));
            stage.registry.variable("ROADSTEAD_CRASH", &aim);
            let has_ended = stage.spawn_until_ready_or_ended();
            stage.lose_power();
            stage.registry.variable("ROADSTEAD_CRASH", "");
            if let Err(complaints) = stage.start_and_check() {
                panic!("after a kill at {aim}: {complaints}");
            }
            stage.registry.serves();
            if !has_ended {
                // It is not passed so often.
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 20, "only {kills} points are passed at the start");
}
