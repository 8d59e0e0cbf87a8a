use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::domain::facts::{CloudInit, Throttled};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn hear(follower: &mut Follower, text: &str) -> Vec<NodeSample> {
    follower
        .feed(text.as_bytes(), at(1_700_000_000))
        .into_iter()
        .filter_map(|told| match told {
            Told::Hello => None,
            Told::Sample(sample) => Some(*sample),
        })
        .collect()
}

const PI: &str = "\
some login shell's greeting
@hello
@facts
uname:Linux 6.8.0-1013-raspi aarch64
hostname:pc1
cpus:4
model:Raspberry Pi 5 Model B Rev 1.0
time:1700000002
/etc/os-release:PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"
/etc/os-release:NAME=\"Ubuntu\"
/etc/os-release:ID=ubuntu
/etc/os-release:VERSION_ID=\"24.04\"
/etc/machine-id:3d1219c7c4c5404aaa1f6d2a48adfda4
/proc/sys/kernel/random/boot_id:3f0f5a3e-4a9b-4a53-b6d0-6a1f0f1f6f60
/sys/fs/cgroup/cgroup.controllers:cpuset cpu io pids
/proc/cgroups:#subsys_name	hierarchy	num_cgroups	enabled
/proc/cgroups:memory	0	85	0
/run/cloud-init/status.json:{
/run/cloud-init/result.json:  \"errors\": []
init:systemd
@cpu
CPU implementer	: 0x41
CPU part	: 0xd0b
@addresses
1: lo    inet 127.0.0.1/8 scope host lo
2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0
2: eth0    inet6 fe80::1/64 scope link
@programs
/usr/bin/apt-get
/usr/bin/sudo
/usr/bin/snap
@clock
NTPSynchronized=yes
       Server: 185.125.190.58 (ntp.ubuntu.com)
       Offset: -1.203ms
chrony:
@facts
virtualisation:none
reboot-told:yes
@sample
/proc/uptime:1000.00 3600.00
/proc/loadavg:0.31 0.27 0.21 1/231 94127
/proc/stat:cpu  100 0 100 800 0 0 0 0 0 0
/proc/meminfo:MemTotal:        8245284 kB
/proc/meminfo:MemFree:          214532 kB
/proc/meminfo:MemAvailable:    6871204 kB
/proc/meminfo:SwapTotal:          1000 kB
/proc/meminfo:SwapFree:            250 kB
/proc/net/dev:  eth0: 1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0
/proc/net/dev: veth1: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0
/sys/class/thermal/thermal_zone0/temp:48850
/sys/class/hwmon/hwmon1/temp1_input:51300
/sys/class/hwmon/hwmon2/temp1_input:999000
/sys/devices/platform/soc/soc:firmware/get_throttled:50000
@disks
Filesystem     1024-blocks    Used Available Capacity Mounted on
/dev/mmcblk0p2    30366420 8123456  20938908      28% /
/dev/mmcblk0p2    30366420 8123456  20938908      28% /var/snap
/dev/mmcblk0p1      500000  250000    250000      50% /boot/my files
@units
● apt-daily.service loaded failed failed Daily apt
consul.service loaded failed failed Consul agent
@rare
vcgencmd:
@cost
0m0.00s 0m0.01s
0m0.02s 0m0.01s
@end
";

const LATER: &str = "\
@sample
/proc/uptime:1010.00 3636.00
/proc/loadavg:1.00 0.27 0.21 1/231 94127
/proc/stat:cpu  200 0 200 900 100 0 0 0 0 0
/proc/net/dev:  eth0: 21000 1 0 0 0 0 0 0 5500 1 0 0 0 0 0 0
@cost
0m0.00s 0m0.02s
0m0.03s 0m0.02s
@end
";

#[test]
fn a_raspberry_pi_tells_everything() {
    let mut follower = Follower::default();
    let samples = hear(&mut follower, PI);
    let [sample] = samples.as_slice() else {
        panic!("one sample")
    };
    assert_eq!(sample.uptime, 1000);
    assert_eq!(format!("{:?}", sample.load), "[0.31, 0.27, 0.21]");
    assert_eq!(sample.memory_total, 8_245_284 * 1024);
    assert_eq!(sample.memory_available, 6_871_204 * 1024);
    assert_eq!(sample.swap_used_percent(), Some(75.0));
    assert_eq!(sample.temperature, Some(51.3), "the hottest that can be");
    assert_eq!(sample.throttled, Some(Throttled(0x50000)));
    assert_eq!(sample.failed_units, ["apt-daily.service", "consul.service"]);
    let mounts: Vec<&str> = sample
        .disks
        .iter()
        .map(|disk| disk.mount.as_str())
        .collect();
    assert_eq!(mounts, ["/", "/boot/my files"], "each device once");
    assert_eq!(sample.disk_total, Some(30_366_420 * 1024));
    assert_eq!((sample.cpu_percent, sample.received), (None, None));

    let facts = follower.facts();
    insta::assert_debug_snapshot!(facts);
}

#[test]
fn rates_are_differences_over_the_nodes_own_clock() {
    let mut follower = Follower::default();
    hear(&mut follower, PI);
    let samples = hear(&mut follower, LATER);
    let sample = &samples[0];
    assert_eq!(sample.cpu_percent, Some(50.0), "200 of 400 ticks");
    assert_eq!((sample.received, sample.sent), (Some(2000), Some(500)));
    assert_eq!(sample.disks.len(), 2, "what is told rarely stays");
    assert_eq!(sample.failed_units.len(), 2);
    let percent = sample.probe_percent.unwrap();
    assert!((percent - 0.3).abs() < 1e-3, "{percent}");
}

#[test]
fn counters_that_began_anew_make_no_rate() {
    let mut follower = Follower::default();
    hear(&mut follower, LATER);
    let samples = hear(&mut follower, PI);
    assert_eq!((samples[0].cpu_percent, samples[0].received), (None, None));
}

#[test]
fn a_host_without_proc_tells_what_it_has_and_that_the_rest_is_missing() {
    let mut follower = Follower::default();
    let samples = hear(
        &mut follower,
        "@hello\n@facts\nuname:Darwin 23.1.0 arm64\nhostname:mini\n@sample\n\
         uptime:14:02  up 3 days, 2 users, load averages: 1.50 1.25 1.00\n@disks\nFilesystem 1024-blocks Used Available Capacity Mounted on\n\
         /dev/disk3s1 1000 500 500 50% /\n@end\n",
    );
    assert_eq!(format!("{:?}", samples[0].load), "[1.5, 1.25, 1.0]");
    assert_eq!(samples[0].disk_used_percent(), Some(50.0));
    assert_eq!(samples[0].memory_used_percent(), None);
    assert_eq!(
        follower.facts().more.lacks,
        [
            "processor use (no /proc/stat)",
            "memory (no /proc/meminfo)",
            "network rates (no /proc/net/dev)"
        ]
    );
}

#[rstest]
#[case::running("/run/cloud-init/status.json:{\n", Some(CloudInit::Running))]
#[case::errors(
    "/run/cloud-init/result.json:  \"errors\": [\n",
    Some(CloudInit::Error)
)]
#[case::off("cloud-init:disabled\n", Some(CloudInit::Disabled))]
#[case::none("", None)]
fn cloud_init_is_as_far_as_its_files_say(#[case] lines: &str, #[case] expected: Option<CloudInit>) {
    let mut follower = Follower::default();
    hear(&mut follower, &format!("@facts\n{lines}"));
    assert_eq!(follower.facts().more.cloud_init, expected);
}

#[rstest]
#[case("reboot-told:yes\nreboot:needed\n", Some(true))]
#[case("reboot-told:yes\n", Some(false))]
#[case("needs-restarting:1\n", Some(true))]
#[case("needs-restarting:0\n", Some(false))]
#[case("needs-restarting:127\n", None)]
fn whether_a_reboot_is_needed_is_only_known_where_somebody_tells(
    #[case] lines: &str,
    #[case] expected: Option<bool>,
) {
    let mut follower = Follower::default();
    hear(&mut follower, &format!("@facts\n{lines}"));
    assert_eq!(follower.facts().more.reboot_needed, expected);
}

#[test]
fn chrony_tells_how_far_the_clock_is_off() {
    let mut follower = Follower::default();
    hear(
        &mut follower,
        "@clock\nchrony:A29FC87B,162.159.200.123,4,1700000000.1,-0.000123456,0.1,0.1,1,0,0,0.1,0.1,64.2,Normal\n",
    );
    let clock = follower.facts().more.clock;
    assert_eq!(
        (clock.synchronised, clock.by.as_deref(), clock.offset_us),
        (Some(true), Some("chrony"), Some(-123))
    );
}

#[tokio::test]
async fn every_shell_here_carries_the_script_out() {
    let script = command(Duration::from_secs(1), false).stdin.unwrap();
    let script = String::from_utf8(script.to_vec()).unwrap();
    let script = script.replace(&format!("rounds={ROUNDS}"), "rounds=2");
    for shell in [
        &["sh"] as &[&str],
        &["dash"],
        &["bash", "--posix"],
        &["busybox", "sh"],
    ] {
        let mut process = tokio::process::Command::new(shell[0]);
        process
            .args(&shell[1..])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true);
        // What is not installed is not tried; `sh` always is.
        let Ok(mut child) = process.spawn() else {
            assert_ne!(shell[0], "sh");
            continue;
        };
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, script.as_bytes())
            .await
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{shell:?}: {}", output.status);
        let mut follower = Follower::default();
        let samples = hear(&mut follower, &String::from_utf8_lossy(&output.stdout));
        assert_eq!(samples.len(), 2, "{shell:?}");
        assert!(
            samples[0].disk_total.is_some_and(|total| total > 0),
            "{shell:?}"
        );
        let facts = follower.facts();
        assert!(
            facts.cpus > 0 && !facts.kernel.is_empty(),
            "{shell:?}: {facts:?}"
        );
        if std::path::Path::new("/proc/stat").exists() {
            assert!(samples[1].cpu_percent.is_some(), "{shell:?}");
            assert!(samples[1].uptime > 0, "{shell:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut follower = Follower::default();
        follower.feed(&bytes, at(0));
        prop_assert!(follower.line.len() <= LONGEST);
        let _ = follower.facts();
    }

    #[test]
    fn nonsense_in_any_section_is_passed_over(
        lines in prop::collection::vec(
            ("@(facts|cpu|addresses|programs|clock|sample|disks|units|rare|cost|end)?", "[ -~]{0,40}(:[ -~]{0,20})?|/proc/(stat|uptime|meminfo|net/dev):[ a-z0-9:.-]{0,60}"),
            0..60,
        )
    ) {
        let mut follower = Follower::default();
        for (section, line) in lines {
            follower.feed(format!("{section}\n{line}\n").as_bytes(), at(0));
        }
        follower.feed(b"@end\n", at(0));
        let _ = follower.facts();
    }

    #[test]
    fn what_is_heard_does_not_depend_on_the_pieces(size in 1_usize..200) {
        let mut whole = Follower::default();
        let expected = hear(&mut whole, PI);
        let mut pieces = Follower::default();
        let mut heard = Vec::new();
        for piece in PI.as_bytes().chunks(size) {
            heard.extend(pieces.feed(piece, at(1_700_000_000)).into_iter().filter_map(|told| match told {
                Told::Hello => None,
                Told::Sample(sample) => Some(*sample),
            }));
        }
        prop_assert_eq!(heard, expected);
        prop_assert_eq!(pieces.facts(), whole.facts());
    }
}
