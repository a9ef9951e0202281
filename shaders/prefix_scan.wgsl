// Inclusive prefix sums, output[i] = input[0] + ... + input[i] modulo 2^32, in one pass over the data: the chained scan with
// decoupled look-back (Merrill and Garland 2016).
//
// Every workgroup scans one tile. What lies before the tile it learns from the workgroups before it: each publishes first the
// sum of its own tile (SUM), then, when it knows it, the sum of everything up to its end (PREFIX). Who looks back adds up SUMs
// until it meets a PREFIX.
//
// Progress. A workgroup waits only for tiles with a smaller number. Numbers are drawn from `ticket`, so those tiles belong to
// workgroups that have started already, and will publish soon if the device lets them go on. Not every device promises that it
// does, so nobody waits for ever: after PATIENCE looks a workgroup adds up the other one's tile itself (the decoupled fallback of
// Smith, Levien and Owens 2025).
//
// input, output   n numbers
// state           all zero; a ticket, and a tile for every workgroup; workgroups = ceil(n / 2048)

const WIDTH = 256u;
const ITEMS = 8u;
const PATIENCE = 1000u;

// A published sum: a flag above each half of it. An atomic is one word and orders no other memory, so a flag and what it
// speaks of share a word. Halves with the same flag belong together, because a tile publishes each kind once.
struct Tile {
    low: atomic<u32>,
    high: atomic<u32>,
}

struct State {
    ticket: atomic<u32>,
    tiles: array<Tile>,
}

const SUM = 1u;
const PREFIX = 2u;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: State;

var<workgroup> tile_number: u32;
var<workgroup> tile_offset: u32;
var<workgroup> sums: array<u32, WIDTH>;

fn publish(tile: u32, flag: u32, sum: u32) {
    atomicStore(&state.tiles[tile].low, flag << 16u | (sum & 0xffffu));
    atomicStore(&state.tiles[tile].high, flag << 16u | sum >> 16u);
}

// The sum of everything before the tile.
fn look_back(tile: u32) -> u32 {
    var before = 0u;
    var looks = 0u;
    var at = tile;
    while at > 0u {
        let low = atomicLoad(&state.tiles[at - 1u].low);
        let high = atomicLoad(&state.tiles[at - 1u].high);
        let flag = low >> 16u;
        if flag != 0u && flag == high >> 16u {
            before += high << 16u | (low & 0xffffu);
            if flag == PREFIX {
                break;
            }
        } else if looks < PATIENCE {
            looks++;
            continue;
        } else {
            for (var i = (at - 1u) * WIDTH * ITEMS; i < at * WIDTH * ITEMS; i++) {
                before += input[i];
            }
        }
        looks = 0u;
        at--;
    }
    return before;
}

// Four elements. 0 behind the end changes no sum.
fn load(at: u32, whole: bool) -> vec4<u32> {
    if whole {
        return vec4<u32>(input[at], input[at + 1u], input[at + 2u], input[at + 3u]);
    }
    var v = vec4<u32>();
    for (var i = 0u; i < 4u && at + i < arrayLength(&input); i++) {
        v[i] = input[at + i];
    }
    return v;
}

fn store(at: u32, v: vec4<u32>, whole: bool) {
    if whole {
        output[at] = v.x;
        output[at + 1u] = v.y;
        output[at + 2u] = v.z;
        output[at + 3u] = v.w;
        return;
    }
    for (var i = 0u; i < 4u && at + i < arrayLength(&output); i++) {
        output[at + i] = v[i];
    }
}

// Prefix sums of four numbers.
fn scan(v: vec4<u32>) -> vec4<u32> {
    let pair = v.x + v.y;
    return vec4<u32>(v.x, pair, pair + v.z, pair + v.z + v.w);
}

@compute @workgroup_size(WIDTH)
fn prefix_scan(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        tile_number = atomicAdd(&state.ticket, 1u);
    }
    let tile = workgroupUniformLoad(&tile_number);

    // All tiles but the last one are inside the array: no invocation of theirs need look where it ends.
    let whole = (tile + 1u) * WIDTH * ITEMS <= arrayLength(&input);

    // Each invocation scans ITEMS neighbours.
    let first = (tile * WIDTH + lane) * ITEMS;
    let a = scan(load(first, whole));
    let b = scan(load(first + 4u, whole)) + a.w;

    // The workgroup scans their sums: after each round `sum` reaches twice as far back (Hillis and Steele 1986).
    var sum = b.w;
    for (var reach = 1u; reach < WIDTH; reach *= 2u) {
        sums[lane] = sum;
        workgroupBarrier();
        if lane >= reach {
            sum += sums[lane - reach];
        }
        workgroupBarrier();
    }

    // The last invocation has the sum of the tile. It publishes it, looks back, and publishes again.
    if lane == WIDTH - 1u {
        publish(tile, SUM, sum);
        let before = look_back(tile);
        publish(tile, PREFIX, before + sum);
        tile_offset = before;
    }
    let offset = workgroupUniformLoad(&tile_offset) + sum - b.w;
    store(first, a + offset, whole);
    store(first + 4u, b + offset, whole);
}
