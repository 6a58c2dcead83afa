//! Mutations of inputs.

use fastrand::Rng;

/// Maximum length of an input; longer ones find no further outcomes.
const MAX_BYTES: usize = 64 * 1024;

/// Maximum changes of one mutation.
const MAX_CHANGES: usize = 6;

/// Bytes with a meaning in JSON, TOML, lines or paths.
const SYNTAX: &[u8] = b"\"\\{}[]:,\n\r\t /.=%-+0919eE#'\0\xff\xc3";

/// A mutation of one of `pool`; insertions include `words` of the format.
pub fn mutated(pool: &[Vec<u8>], words: &[String], rng: &mut Rng) -> Vec<u8> {
    let mut input = pick(pool, rng).clone();
    for _ in 0..rng.usize(1..=MAX_CHANGES) {
        change(&mut input, pool, words, rng);
    }
    input.truncate(MAX_BYTES);
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[String], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let part = part_of(input, rng);
    match rng.u8(..12) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = *pick(SYNTAX, rng),
        2 => input.insert(at, *pick(SYNTAX, rng)),
        3 => drop(input.drain(part)),
        4 => drop(input.splice(at..at, input[part].to_vec())),
        5 => input.truncate(at),
        6 | 7 if !words.is_empty() => drop(input.splice(at..at, pick(words, rng).bytes())),
        8 if !words.is_empty() => drop(input.splice(part, pick(words, rng).bytes())),
        9 => {
            let other = pick(pool, rng);
            drop(input.splice(part, other[part_of(other, rng)].to_vec()));
        }
        10 => number(input, rng),
        _ => {
            let repeated = input[part].repeat(rng.usize(1..40));
            drop(input.splice(at..at, repeated.into_iter().take(MAX_BYTES)));
        }
    }
}

/// Replaces a number by another.
fn number(input: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else {
        return;
    };
    let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = match rng.u8(..7) {
        0 => "0".to_owned(),
        1 => u64::MAX.to_string(),
        2 => i64::MAX.to_string(),
        3 => "9007199254740993".to_owned(),
        4 => rng.u64(..).to_string(),
        5 => rng.u8(..).to_string(),
        // As long as the one before, so that days stay days.
        _ => (0..digits).map(|_| rng.digit(10)).collect(),
    };
    input.splice(start..start + digits, number.bytes());
}

/// A part, short more often than long.
fn part_of(input: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let longest = if rng.u8(..4) == 0 { 4096 } else { 24 };
    let start = rng.usize(..=input.len());
    start..input.len().min(start + rng.usize(..longest))
}

fn pick<'a, T>(of: &'a [T], rng: &mut Rng) -> &'a T {
    &of[rng.usize(..of.len())]
}
