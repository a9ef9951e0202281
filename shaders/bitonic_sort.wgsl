// Ascending sort by a bitonic network (Batcher 1968), in place, for any number of keys.
//
// Two sorted runs of `height` keys become one: first the upper run is met backwards (`mirror`: the two keys next to the border
// meet, then their neighbours), then keys that are height / 2, height / 4, ..., 1 apart meet (`meet`). Where two keys meet,
// the smaller one always goes to the lower place. So keys behind the end of the array can be thought of as infinitely large:
// they never move, and a meeting with one is left out.
//
//     sort_tiles                  every workgroup sorts a tile of 1024 keys
//     for height = 1024, 2048, ... below n:
//         mirror                  height
//         meet                    height / 2, height / 4, ..., 1024
//         merge_tiles             512, ..., 1: the meetings that stay inside a tile
//
// keys     n numbers
// height   of this launch: `mirror` and `meet` only
// Workgroups: ceil(n / 1024) of all four, as a workgroup makes 512 meetings.

const TILE = 1024u;
const WIDTH = 256u;

@group(0) @binding(0) var<storage, read_write> keys: array<u32>;
@group(0) @binding(1) var<uniform> height: u32;

var<workgroup> tile: array<u32, TILE>;

// The lower place of meeting `m` of keys that are `apart`, a power of two: the number gets a zero at that bit.
fn lower_place(m: u32, apart: u32) -> u32 {
    return 2u * m - (m & (apart - 1u));
}

// The place that is as far from the end of the two runs as `place` is from their start.
fn mirrored(place: u32, run: u32) -> u32 {
    return place ^ (2u * run - 1u);
}

fn meet_in_storage(lower: u32, upper: u32) {
    if upper < arrayLength(&keys) {
        let a = keys[lower];
        let b = keys[upper];
        keys[lower] = min(a, b);
        keys[upper] = max(a, b);
    }
}

fn meet_in_tile(lower: u32, upper: u32) {
    let a = tile[lower];
    let b = tile[upper];
    tile[lower] = min(a, b);
    tile[upper] = max(a, b);
}

@compute @workgroup_size(WIDTH)
fn mirror(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var part = 0u; part < TILE / 2u; part += WIDTH) {
        // The runs are longer than a workgroup is wide: neighbours have neighbouring places.
        let upper = lower_place(group.x * (TILE / 2u) + part, height) + height;
        meet_in_storage(mirrored(upper, height) - lane, upper + lane);
    }
}

@compute @workgroup_size(WIDTH)
fn meet(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var part = 0u; part < TILE / 2u; part += WIDTH) {
        let lower = lower_place(group.x * (TILE / 2u) + part, height) + lane;
        meet_in_storage(lower, lower + height);
    }
}

// Infinitely large keys where there are none.
fn load_tile(group: u32, lane: u32) {
    for (var part = 0u; part < TILE; part += WIDTH) {
        let at = group * TILE + part + lane;
        var key = 0xffffffffu;
        if at < arrayLength(&keys) {
            key = keys[at];
        }
        tile[part + lane] = key;
    }
    workgroupBarrier();
}

fn store_tile(group: u32, lane: u32) {
    for (var part = 0u; part < TILE; part += WIDTH) {
        let at = group * TILE + part + lane;
        if at < arrayLength(&keys) {
            keys[at] = tile[part + lane];
        }
    }
}

// The meetings of keys that are `first`, `first` / 2, ..., 1 apart in the tile.
fn meet_down(first: u32, lane: u32) {
    for (var apart = first; apart > 0u; apart /= 2u) {
        for (var part = 0u; part < TILE / 2u; part += WIDTH) {
            let lower = lower_place(part + lane, apart);
            meet_in_tile(lower, lower + apart);
        }
        workgroupBarrier();
    }
}

@compute @workgroup_size(WIDTH)
fn sort_tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    load_tile(group.x, lane);
    for (var run = 1u; run < TILE; run *= 2u) {
        for (var part = 0u; part < TILE / 2u; part += WIDTH) {
            let lower = lower_place(part + lane, run);
            meet_in_tile(lower, mirrored(lower, run));
        }
        workgroupBarrier();
        meet_down(run / 2u, lane);
    }
    store_tile(group.x, lane);
}

@compute @workgroup_size(WIDTH)
fn merge_tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    load_tile(group.x, lane);
    meet_down(TILE / 2u, lane);
    store_tile(group.x, lane);
}
