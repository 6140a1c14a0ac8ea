//! How addresses, places and moments are written.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Timelike};

/// Ports of a leaf switch that hosts connect to.
pub(super) const PORTS: u32 = 48;
/// The display time zone of the controller; a modTs shows it as a numeric offset.
pub(crate) const OFFSET_HOURS: i64 = 2;

/// Appends to a `String`, which cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { write!($out, $($arg)*).expect("a String takes any text") };
}
pub(super) use put;

/// Writes a moment the way an APIC does: milliseconds and a numeric offset.
pub(crate) fn write_time(ms: i64, out: &mut String) {
    // Only a start at the far end of chrono's range has no text; the word is the one for "no moment".
    let Some(at) = DateTime::from_timestamp_millis(ms + OFFSET_HOURS * 3_600_000) else {
        out.push_str("never");
        return;
    };
    let (day, time, millis) = (at.date_naive(), at.time(), at.timestamp_subsec_millis());
    put!(out, "{:04}-{:02}-{:02}", day.year(), day.month(), day.day());
    put!(out, "T{:02}:{:02}:{:02}.{millis:03}+{OFFSET_HOURS:02}:00", time.hour(), time.minute(), time.second());
}

/// Writes the MAC address of an endpoint; no two serials share one.
pub(super) fn write_mac(serial: u32, out: &mut String) {
    // An odd factor permutes the numbers below 2^24, so that neighbours do not look like it.
    let low = serial.wrapping_mul(0x0095_D12B) & 0x00FF_FFFF;
    let [_, upper, middle, lower] = low.to_be_bytes();
    put!(out, "00:50:{:02X}:{upper:02X}:{middle:02X}:{lower:02X}", 0x56 ^ (serial >> 24));
}

/// Writes the gateway of a subnet; no two serials share one.
pub(super) fn write_gateway(serial: u32, out: &mut String) {
    put!(out, "{}.{}.{}.1/24", 10 + (serial >> 16), serial >> 8 & 0xFF, serial & 0xFF);
}

pub(super) fn leaf_of_port(port: u32) -> u32 {
    101 + port / PORTS
}

/// Returns the first switch of the pair that serves a virtual port channel.
pub(super) fn first_of_pair(port: u32) -> u32 {
    101 + port / PORTS / 2 * 2
}

pub(super) fn pod_of_leaf(leaf: u32) -> u32 {
    1 + (leaf - 101) / 100
}

/// Writes the interface or, for a channel, the name of its policy group.
pub(super) fn write_interface(port: u32, channel: bool, out: &mut String) {
    if channel {
        put!(out, "vpc-host-{port:04}");
    } else {
        put!(out, "eth1/{}", port % PORTS + 1);
    }
}

/// Writes the DN of a port or of the virtual port channel with the same number.
pub(super) fn write_path_of(port: u32, channel: bool, out: &mut String) {
    if channel {
        let leaf = first_of_pair(port);
        put!(out, "topology/pod-{}/protpaths-{leaf}-{}/pathep-[", pod_of_leaf(leaf), leaf + 1);
    } else {
        let leaf = leaf_of_port(port);
        put!(out, "topology/pod-{}/paths-{leaf}/pathep-[", pod_of_leaf(leaf));
    }
    write_interface(port, channel, out);
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::{write_path_of, write_time};

    fn text(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn time_has_milliseconds_and_a_numeric_offset() {
        assert_eq!(text(|out| write_time(1_767_225_600_007, out)), "2026-01-01T02:00:00.007+02:00");
    }

    #[test]
    fn channel_names_both_switches() {
        assert_eq!(text(|out| write_path_of(49, false, out)), "topology/pod-1/paths-102/pathep-[eth1/2]");
        assert_eq!(text(|out| write_path_of(49, true, out)), "topology/pod-1/protpaths-101-102/pathep-[vpc-host-0049]");
    }
}
