// Gravitational acceleration of every body from every other (direct sum; Plummer softening, 1911):
//
//     a_i = sum over j of  m_j * r_ij / (|r_ij|^2 + softening^2)^(3/2),     r_ij = p_j - p_i,  G = 1
//
// The body itself adds zero, because r_ii = 0.
//
// body             array         x, y, z, mass: the same array as `bodies`
// softening        scalar        > 0, in the unit of the positions
// bodies           whole array   x, y, z, mass: read by every element, in the same order
// -> acceleration  array         x, y, z

var<storage, read> bodies: array<vec4<f32>>;

fn nbody(body: vec4<f32>, softening: f32) -> vec3<f32> {
    var acceleration = vec3<f32>(0.0, 0.0, 0.0);
    for (var j = 0u; j < arrayLength(&bodies); j++) {
        let other = bodies[j];
        let r = other.xyz - body.xyz;
        let d2 = r.x * r.x + r.y * r.y + r.z * r.z + softening * softening;
        acceleration += r * (other.w / (d2 * sqrt(d2)));
    }
    return acceleration;
}
