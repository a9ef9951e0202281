//! Statements, functions, and what the invocations of a workgroup do together.

use super::{BOOL, Function, I32, Kind, OUT, Type, U32, Variable, Writer};

impl Writer<'_> {
    /// A function of its own, which may call the ones before it.
    pub(super) fn function(&mut self) {
        let name = format!("fun{}", self.functions.len());
        let result = self.any_type();
        let scope = self.vars.len();
        let mut params = Vec::new();
        let mut list = Vec::new();
        for at in 0..self.below(4) {
            // Only one, so that none is an alias of another.
            let pointer = at == 0 && self.below(2) == 0;
            let ty = if pointer { Self::pointed()[self.below(4)].1.clone() } else { self.any_type() };
            let param = self.new_name("p");
            list.push(if pointer {
                format!("{param}: ptr<function, {}>", ty.name())
            } else {
                format!("{param}: {}", ty.name())
            });
            let name = if pointer { format!("(*{param})") } else { param };
            self.vars.push(Variable { name, ty: ty.clone(), mutable: pointer });
            params.push((ty, pointer));
        }
        self.line(format!("fn {name}({}) -> {} {{", list.join(", "), result.name()));
        self.result = Some(result.clone());
        self.together = false;
        self.loops = 1;
        self.block(6);
        self.result = None;
        self.loops = 0;
        self.indent += 1;
        let value = self.expression(&result, 2);
        self.line(format!("return {value};"));
        self.indent -= 1;
        self.line("}");
        self.vars.truncate(scope);
        self.functions.push(Function { name, params, result });
    }

    /// Variables of `main` that pointers can point to.
    fn pointed() -> [(&'static str, Type); 4] {
        [
            ("vi", I32),
            ("vu", U32),
            ("vv", Type::Vector(4, Kind::F32)),
            ("va", Type::Array(Box::new(Type::Vector(2, Kind::I32)), 3)),
        ]
    }

    /// A call of a function that gives that type.
    pub(super) fn call(&mut self, ty: &Type, depth: usize) -> Option<String> {
        let fits: Vec<usize> =
            (0..self.functions.len()).filter(|&at| self.functions[at].result == *ty).collect();
        if fits.is_empty() {
            return None;
        }
        let at = fits[self.below(fits.len())];
        let params = self.functions[at].params.clone();
        let mut arguments = Vec::new();
        for (ty, pointer) in params {
            if pointer {
                let fits: Vec<&Variable> = self
                    .vars
                    .iter()
                    .filter(|var| {
                        var.ty == ty
                            && var.mutable
                            && (var.name.starts_with('v') || var.name.starts_with("(*"))
                    })
                    .collect();
                let name = fits.last()?.name.clone();
                arguments.push(match name.strip_prefix("(*").and_then(|name| name.strip_suffix(')')) {
                    Some(pointer) => pointer.to_owned(),
                    None => format!("&{name}"),
                });
            } else {
                arguments.push(self.expression(&ty, depth));
            }
        }
        Some(format!("{}({})", self.functions[at].name, arguments.join(", ")))
    }

    /// Up to `most` statements, without a scope of their own.
    fn block(&mut self, most: usize) {
        self.indent += 1;
        let count = 1 + self.below(most);
        for _ in 0..count {
            if self.is_out() || self.statement() {
                break;
            }
        }
        self.indent -= 1;
    }

    /// A block with a scope of its own, in a place where invocations go different ways if `apart`, and the jumps in it.
    fn nested(&mut self, apart: bool, jumps: Option<(bool, bool)>) {
        let (scope, alike, together) = (self.vars.len(), self.alike.len(), self.together);
        let outer = std::mem::replace(&mut self.jumps, jumps);
        self.together &= !apart;
        self.block(4);
        (self.together, self.jumps) = (together, outer);
        self.vars.truncate(scope);
        self.alike.truncate(alike);
    }

    /// One statement; whether it was a jump.
    fn statement(&mut self) -> bool {
        let shallow = self.indent < 6;
        if self.result.is_none() && self.together && self.below(3) == 0 {
            self.shared();
            return false;
        }
        match self.below(20) {
            0 | 1 => {
                let ty = self.any_type();
                let value = self.expression(&ty, 3);
                let name = self.new_name("v");
                let line = match self.below(3) {
                    0 => format!("var {name}: {};", ty.name()),
                    1 => format!("var {name} = {value};"),
                    _ => format!("var {name}: {} = {value};", ty.name()),
                };
                self.line(line);
                self.vars.push(Variable { name, ty, mutable: true });
            }
            2 | 3 => {
                let ty = self.any_type();
                let value = self.expression(&ty, 3);
                let name = self.new_name("l");
                self.line(format!("let {name} = {value};"));
                self.vars.push(Variable { name, ty, mutable: false });
            }
            4..9 => self.assign(),
            9 => self.compound(),
            10 | 11 if shallow => {
                let alike = self.together && self.below(2) == 0;
                let cond = if alike { self.alike_condition() } else { self.expression(&BOOL, 3) };
                // No jump takes some of those that are together further than where they meet again.
                let jumps = self.jumps.filter(|_| alike || !self.together);
                self.line(format!("if {cond} {{"));
                self.nested(!alike, jumps);
                if self.below(2) == 0 {
                    self.line("} else {");
                    self.nested(!alike, jumps);
                }
                self.line("}");
            }
            12 if shallow && self.loops < 2 => self.counted(),
            13 if shallow && self.loops < 2 => self.looped(),
            14 if shallow => self.switch(),
            15 => {
                if let Some((can_continue, can_break)) = self.jumps {
                    let jump = match self.below(2) {
                        0 if can_continue => "continue;",
                        _ if can_break => "break;",
                        _ => return false,
                    };
                    // Those that are together stay so.
                    let cond = if self.together { self.alike_condition() } else { self.expression(&BOOL, 2) };
                    self.line(format!("if {cond} {{ {jump} }}"));
                }
            }
            16 => {
                if let Some(result) = self.result.clone()
                    && self.indent > 1
                {
                    let value = self.expression(&result, 2);
                    self.line(format!("return {value};"));
                    return true;
                }
            }
            17 => self.tally(),
            // Among invocations that parted, passes may change whose turn it is.
            18 if self.is_wild() && self.together => self.turn(),
            18 => self.tally(),
            _ => {
                let which = self.below(self.functions.len().max(1));
                if let Some(result) = self.functions.get(which).map(|function| function.result.clone())
                    && let Some(call) = self.call(&result, 2)
                {
                    self.line(format!("_ = {call};"));
                } else {
                    self.assign();
                }
            }
        }
        false
    }

    fn assign(&mut self) {
        let ty = self.any_type();
        let value = self.expression(&ty, 3);
        if let Some(place) = self.place(&ty, true) {
            self.line(format!("{place} = {value};"));
        } else {
            let kind = [Kind::I32, Kind::U32, Kind::Bool, Kind::F32][self.below(4)];
            let value = self.expression(&Type::Scalar(kind), 3);
            self.line(format!("{} = {value};", kind.global()));
        }
    }

    fn compound(&mut self) {
        let kind = [Kind::I32, Kind::U32][self.below(2)];
        let ty = Type::Scalar(kind);
        if let Some(place) = self.place(&ty, true) {
            let op = ["+", "-", "*", "/", "%", "&", "|", "^"][self.below(8)];
            let line = match self.below(4) {
                0 => format!("{place}++;"),
                1 => format!("{place}--;"),
                _ => format!("{place} {op}= {};", self.expression(&ty, 2)),
            };
            self.line(line);
        }
    }

    /// The body of a loop.
    fn rounds(&mut self, apart: bool) {
        self.loops += 1;
        self.nested(apart, Some((true, true)));
        self.loops -= 1;
    }

    /// `for` and `while`.
    fn counted(&mut self) {
        let (k, n) = (self.new_name("k"), self.new_name("n"));
        let alike = self.together && self.below(2) == 0;
        let bound = if alike { self.alike_value() } else { self.expression(&U32, 2) };
        self.line(format!("let {n} = {bound} & 3u;"));
        let (head, tail) = match self.below(3) {
            0 => (format!("for (var {k} = 0u; {k} < {n}; {k}++) {{"), None),
            1 => (format!("for (var {k} = {n}; {k} > 0u; {k} -= 1u) {{"), None),
            _ => {
                self.line(format!("var {k} = 0u;"));
                (format!("while {k} < {n} {{"), Some(format!("    {k} += 1u;")))
            }
        };
        self.line(head);
        // It counts first, so that a `continue` does not skip it.
        if let Some(tail) = tail {
            self.line(tail);
        }
        self.vars.push(Variable { name: k, ty: U32, mutable: false });
        self.rounds(!alike);
        self.vars.pop();
        self.line("}");
    }

    fn looped(&mut self) {
        let k = self.new_name("k");
        self.line(format!("var {k} = 0i;"));
        self.line("loop {");
        self.line(format!("    if {k} >= {} {{ break; }}", 1 + self.indent % 3));
        self.rounds(true);
        self.line("    continuing {");
        self.line(format!("        {k}++;"));
        self.indent += 1;
        let (jumps, result, together) = (self.jumps.take(), self.result.take(), self.together);
        self.together = false;
        self.indent += 1;
        self.assign();
        self.compound();
        self.indent -= 1;
        (self.jumps, self.result, self.together) = (jumps, result, together);
        if self.below(2) == 0 {
            let cond = self.expression(&BOOL, 2);
            self.line(format!("    break if {cond};"));
        }
        self.indent -= 1;
        self.line("    }");
        self.line("}");
    }

    fn switch(&mut self) {
        let unsigned = self.below(2) == 0;
        let selector = if unsigned {
            format!("{} % 5u", self.expression(&U32, 2))
        } else {
            format!("{} & 3i", self.expression(&I32, 2))
        };
        self.line(format!("switch {selector} {{"));
        let jumps = Some((!self.together && self.jumps.is_some_and(|jumps| jumps.0), true));
        self.indent += 1;
        let cases = 1 + self.below(3);
        for case in 0..cases {
            let suffix = if unsigned { "u" } else { "i" };
            let head = match self.below(3) {
                0 => format!("case {case}{suffix}, {}{suffix} {{", case + 10),
                _ => format!("case {case}{suffix}: {{"),
            };
            self.line(head);
            self.nested(true, jumps);
            self.line("}");
        }
        self.line("default {");
        self.nested(true, jumps);
        self.line("}");
        self.indent -= 1;
        self.line("}");
    }

    /// A u32 that is the same in all invocations of the workgroup.
    fn alike_value(&mut self) -> String {
        match self.below(6) {
            pick @ 0..3 if !self.alike.is_empty() => {
                self.alike[self.alike.len() - 1 - pick % self.alike.len()].clone()
            }
            0 => "wid.y".to_owned(),
            1 => format!("input[{}]", self.below(64)),
            2 => "uni.c".to_owned(),
            3 => "nwg.x".to_owned(),
            4 => format!("(wid.x + {}u)", self.below(4)),
            _ => "wid.z".to_owned(),
        }
    }

    fn alike_condition(&mut self) -> String {
        let op = ["<", "==", "!=", ">="][self.below(4)];
        format!("({} & 3u) {op} ({} & 3u)", self.alike_value(), self.alike_value())
    }

    /// What only works where all invocations of the workgroup are.
    fn shared(&mut self) {
        let lanes: u32 = self.size.iter().product();
        let value = self.expression(&U32, 2);
        let which = format!("{} % {lanes}u", self.expression(&U32, 2));
        match self.below(6) {
            0 | 1 => {
                let name = self.new_name("l");
                let guard = if self.below(3) == 0 {
                    format!("if {} ", self.expression(&BOOL, 2))
                } else {
                    String::new()
                };
                self.line(format!("{guard}{{ tile[lane] = {value}; }}"));
                self.line("workgroupBarrier();");
                self.line(format!("let {name} = tile[{which}];"));
                self.line("workgroupBarrier();");
                self.vars.push(Variable { name, ty: U32, mutable: false });
            }
            2 => {
                let name = self.new_name("l");
                let whole = self.expression(&Type::Struct(0), 2);
                self.line(format!("wide[lane] = {whole};"));
                self.line("workgroupBarrier();");
                self.line(format!("let {name} = wide[{which}];"));
                self.line("workgroupBarrier();");
                self.vars.push(Variable { name, ty: Type::Struct(0), mutable: false });
            }
            3 => {
                let name = self.new_name("l");
                self.line(format!("board[desk + lane] = {value};"));
                self.line("storageBarrier();");
                self.line(format!("let {name} = board[desk + {which}];"));
                self.line("storageBarrier();");
                self.vars.push(Variable { name, ty: U32, mutable: false });
            }
            4 => {
                let name = self.new_name("l");
                let who = self.alike_value();
                self.line(format!("if lane == {who} % {lanes}u {{ one = {value}; }}"));
                self.line(format!("let {name} = workgroupUniformLoad(&one);"));
                self.vars.push(Variable { name: name.clone(), ty: U32, mutable: false });
                self.alike.push(name);
            }
            _ if self.is_wild() => self.subgroup(),
            _ => self.line("workgroupBarrier();"),
        }
    }

    /// An atomic that commutes with all others on its words.
    fn tally(&mut self) {
        let ops = ["Add", "Sub", "And", "Or", "Xor", "Min", "Max"];
        let op = self.below(ops.len());
        let (at, value) = (self.expression(&U32, 2), self.expression(&U32, 2));
        let at = if self.is_wild() && self.below(4) == 0 {
            format!("(({at}) | 1024u)")
        } else {
            format!("{at} % 16u + {}u", 16 * op)
        };
        self.line(format!("atomic{}(&tally[{at}], {value});", ops[op]));
    }

    /// An atomic in the workgroup, whose order counts.
    fn turn(&mut self) {
        let name = self.new_name("l");
        let (at, value) = (self.expression(&U32, 1), self.expression(&I32, 2));
        let at = if self.below(2) == 0 { format!("{at} % 5u") } else { at };
        match self.below(5) {
            0 => self.line(format!("let {name} = atomicLoad(&turns[{at}]);")),
            1 => {
                let expected = self.expression(&I32, 1);
                self.line(format!(
                    "let {name} = atomicCompareExchangeWeak(&turns[{at}], {expected}, {value}).old_value;"
                ));
            }
            2 => self.line(format!("atomicStore(&turns[{at}], {value}); let {name} = 1i;")),
            _ => {
                let op = ["Add", "Exchange", "Max", "Min", "Xor"][self.below(5)];
                self.line(format!("let {name} = atomic{op}(&turns[{at}], {value});"));
            }
        }
        self.vars.push(Variable { name, ty: I32, mutable: false });
    }

    fn subgroup(&mut self) {
        let kind = Kind::NUMBERS[self.below(3)];
        let ty = Type::Scalar(kind);
        let value = self.expression(&ty, 2);
        let name = self.new_name("l");
        let text = match self.below(4) {
            0 => format!("subgroupShuffle({value}, {})", self.expression(&U32, 2)),
            1 => format!("subgroupBroadcastFirst({value})"),
            2 if kind != Kind::F32 => {
                let op = ["Add", "InclusiveAdd", "ExclusiveMul", "Xor", "Max"][self.below(5)];
                format!("subgroup{op}({value})")
            }
            _ => format!("subgroupMax({value})"),
        };
        let text = if kind == Kind::F32 { format!("q1({text})") } else { text };
        self.line(format!("let {name} = {text};"));
        self.vars.push(Variable { name, ty, mutable: false });
    }

    pub(super) fn main(&mut self) {
        let [x, y, z] = self.size;
        let lanes = x * y * z;
        self.line(format!(
            "@compute @workgroup_size({x}, {y}, {z})
fn main(
    @builtin(global_invocation_id) gid: vec3<u32>,
    @builtin(local_invocation_id) lid: vec3<u32>,
    @builtin(local_invocation_index) li: u32,
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) nwg: vec3<u32>,
) {{
    lane = li;
    let desk = ((wid.z * nwg.y + wid.y) * nwg.x + wid.x) * {lanes}u;
    me = desk + li;
    gu = input[me % 1024u];
    gi = bitcast<i32>(input[(me + 7u) % 1024u]);"
        ));
        let three = Type::Vector(3, Kind::U32);
        let scope = self.vars.len();
        for name in ["gid", "lid", "wid", "nwg"] {
            self.vars.push(Variable { name: name.to_owned(), ty: three.clone(), mutable: false });
        }
        for (name, ty) in Self::pointed() {
            self.line(format!("    var {name}: {};", ty.name()));
            self.vars.push(Variable { name: name.to_owned(), ty, mutable: true });
        }
        self.together = true;
        while !self.is_out() {
            self.block(12);
        }
        self.indent = 1;
        self.line("workgroupBarrier();");
        // Every buffer is there, and nothing can be known of these.
        self.line("if arrayLength(&state) + arrayLength(&tally) + arrayLength(&board) == uni.c { gu = 1u; }");
        self.line("if gu == 0x12345678u { wide[lane] = table[lane % 3u]; }");
        // What came of it all.
        for word in 0..OUT - 4 {
            let value = self.expression(&U32, 2);
            self.line(format!("out[me * {OUT}u + {word}u] = {value};"));
        }
        let show =
            ["gu", "bitcast<u32>(gi)", "u32(i32(gf)) + u32(gb)", &format!("tile[(lane + 1u) % {lanes}u]")];
        for (word, value) in show.iter().enumerate() {
            self.line(format!("out[me * {OUT}u + {}u] = {value};", OUT - 4 + word));
        }
        self.vars.truncate(scope);
        self.indent = 0;
        self.line("}");
    }
}
