/// x
#[derive(Debug)]
pub struct FaultyStore;
