//! Random numbers that a seed repeats, on every machine and in every version of every library: splitmix64.

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of a seed; each `stream` of it has other ones.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        dice.any();
        dice
    }

    /// The seed of `TIDEMILL_SEED`, else one that no run had before. It is printed, to be shown where the test fails.
    pub fn seed() -> u64 {
        let seed = match std::env::var("TIDEMILL_SEED") {
            Ok(text) => text.parse().expect("TIDEMILL_SEED is a number"),
            Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
        };
        eprintln!("repeat with TIDEMILL_SEED={seed}");
        seed
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    /// Whether something that happens this often in a hundred times happens.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A place in a list that is not empty; half of the time in its first twentieth, so that some are picked again and again.
    pub fn place(&mut self, length: usize) -> usize {
        let hot = (length / 20).max(1);
        let end = if self.percent(50) { hot } else { length };
        self.below(end as u64) as usize
    }
}
