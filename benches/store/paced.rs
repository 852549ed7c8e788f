//! Requests at a given rate, whatever the answers take: the time of each counts from when it was due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::load::{Connection, Expected};

const CONNECTIONS: usize = 256;

/// How long each answer took.
pub(crate) fn run(port: u16, request: &[u8], expected: &Expected, rate: f64, span: Duration) -> Vec<Duration> {
    let mut free: VecDeque<_> = (0..CONNECTIONS).map(|_| Connection::open(port)).collect();
    let mut busy: Vec<(Connection, Instant)> = Vec::new();
    let (begun, mut sent, mut took) = (Instant::now(), 0_u32, Vec::new());
    let due = |number: u32| begun + Duration::from_secs_f64(f64::from(number) / rate);
    while begun.elapsed() < span || !busy.is_empty() {
        while begun.elapsed() < span && Instant::now() >= due(sent) {
            let Some(mut connection) = free.pop_front() else { break };
            connection.ask(request);
            busy.push((connection, due(sent)));
            sent += 1;
        }
        let mut index = 0;
        while index < busy.len() {
            let (connection, since) = &mut busy[index];
            match connection.answer_if_there() {
                Some(answer) => {
                    took.push(since.elapsed());
                    assert!(expected.is_met_by(answer), "a wrong answer:\n{answer}");
                    free.push_back(busy.swap_remove(index).0);
                }
                None => index += 1,
            }
        }
        std::thread::yield_now();
    }
    took
}
