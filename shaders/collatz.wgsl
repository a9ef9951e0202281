// Steps of n -> n / 2 (even), 3n + 1 (odd) until 1 (Collatz 1937). Divergent, integers only.
//
// start     array or Index   u32
// -> steps  array            u32; 4294967295 for 0, and where 3n + 1 leaves u32
fn collatz(start: u32) -> u32 {
    if start == 0u {
        return 0xffffffffu;
    }
    var n = start;
    var steps = 0u;
    while n != 1u {
        let odd = n % 2u == 1u;
        // The largest n for which 3n + 1 is still a u32.
        if odd && n > 1431655764u {
            return 0xffffffffu;
        }
        n = select(n / 2u, 3u * n + 1u, odd);
        steps++;
    }
    return steps;
}
