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
        if n % 2u == 0u {
            n = n / 2u;
        } else {
            // The largest n for which 3n + 1 is still a u32.
            if n > 1431655764u {
                return 0xffffffffu;
            }
            n = 3u * n + 1u;
        }
        steps++;
    }
    return steps;
}
