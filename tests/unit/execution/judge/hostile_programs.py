"""Programs that are broken, hostile or odd, by language, and mutants of them. They run in the sandbox alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

PYTHON = [
    "print(input())",
    "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "import os\nos.kill(os.getppid(), 9)\nos.kill(-1, 9)\nos._exit(0)",
    "import os\nos.closerange(0, 64)\nraise SystemExit(0)",
    "# /dev/stdin\nprint(open('/dev/stdin').read())",
    "import sys\nsys.stdout.buffer.write(b'\\x1eresult ' + b'[' * 100000 + b'\\n')",
    "import os\nos.write(1, b'\\n\\x1eresult {\"$tuple\": 5}\\n')\nos._exit(0)",
    "import os\nos.write(1, b'E' * 100)\n[os.write(fd, b'Efake') for fd in range(3, 60)]",
    "print('\\x00' * 1000)",
    "while True: print('x' * 4096)",
    "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)",
    "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(9,)).start()",
    "def f(x):\n    return {'$int': f}",
    "def f(x):\n    return float('nan')",
    "def f(x):\n    return 10 ** 5000",
    "def f(x):\n    import os\n    os._exit(0)",
    "class Solution:\n    def f(self, x):\n        return type('X', (int,), {'__eq__': lambda *a: True})(7)",
    "import atexit, os\natexit.register(os.abort)\nprint(42)",
    "import sys\nsys.stdout = None\nsys.exit(10**30)",
    "raise BaseException('\\ud800')",
    "print('1e999999999999999999 -nan 0x1p3', end='')",
    "(" * 5000,
    "x = " + "-" * 20000 + "1",
    "\x00\x01\ufeff\u202e",
    "import socket\na, b = socket.socketpair()\nfor _ in range(200): socket.send_fds(a, [b'x'], [1])",
    "import os\nfor i in range(5000): open(f'f{i}', 'w').write('x' * 10000)",
]
C = [
    '#include <stdio.h>\nint main(void){int x; scanf("%d",&x); printf("%d\\n",x);}',
    'asm(".section .interp,\\"a\\",@progbits\\n.zero 5000\\n");int main(){return 0;}',
    'asm(".section .interp,\\"a\\",@progbits\\n.asciz \\"/no/loader\\"\\n");int main(){return 0;}',
    "char x[140 << 20] = {1};\nint main(){}",
    "static char x[1L << 40];\nint main(){return x[5];}",
    '#include "/dev/zero"\nint main(){}',
    '#include "/dev/stdin"\nint main(){}',
    '#include "main.c"\nint main(){}',
    'asm(".incbin \\"/dev/random\\"");int main(){}',
    'asm(".incbin \\"program\\"");int main(){}',
    "int main(){ *(volatile int*)0 = 1; }",
    "#include <unistd.h>\n__attribute__((constructor)) void f(){ lseek(0, 0, 0); _exit(0); }\nint main(){}",
    "#include <signal.h>\nint main(){ for(int i=1;i<65;i++) signal(i, SIG_IGN); for(;;); }",
    "#include <unistd.h>\nint main(){ for(;;) fork(); }",
    "#include <stdlib.h>\n#include <string.h>\nint main(){ for(;;) memset(malloc(1<<20),1,1<<20); }",
    '#include <unistd.h>\nint main(){ for(int i=0;i<99;i++) close(i); for(;;) write(1,"x",1); }',
    "int start(){return 0;}",
    '_Static_assert(0, "\\xff");\nint main(){}',
    "#define A(x) x x x x x x x x\n#define B(x) A(A(A(A(x))))\nint x = 0 B(B(+1));\nint main(){}",
    "int main;",
    'asm(".globl _start\\n_start: hlt");int main(){}',
    '#pragma GCC optimize("no-such")\n#pragma GCC poison main\nint main(){}',
]
CPP = [
    "#include <iostream>\nint main(){int x; std::cin>>x; std::cout<<x;}",
    "template<int N> struct A{ static const int v = A<N+1>::v; };\nint main(){ return A<0>::v; }",
    "template<class T> void f(T){ f((T**)0); }\nint main(){ f(0); }",
    "constexpr long f(long n){ return n < 2 ? n : f(n-1) + f(n-2); }\nstatic_assert(f(90) > 0);\nint main(){}",
    '#include <stdexcept>\nint main(){ throw std::runtime_error("\\xff\\x00"); }',
    "#include <thread>\nint main(){ std::thread t([]{ for(;;); }); return 0; }",
    "#include <bits/stdc++.h>\nint main(){ std::vector<int> v; for(;;) v.push_back(1); }",
]
JAVA = [
    "public class Main { public static void main(String[] a){ System.out.print(System.in.read()); } }",
    "public class " + "A" * 300 + " { public static void main(String[] a){} }",
    "package a.b.c; class X { public static void main(String[] a){ System.exit(3); } }",
    "class X { static { while(true); } public static void main(String[] a){} }",
    "public class Main { public static void main(String[] a){ Runtime.getRuntime().halt(0); } }",
    "public class Main { static void f(){ f(); } public static void main(String[] a){ f(); } }",
    "public class Main { public static void main(String[] a){ Object x = new int[1<<30]; } }",
    "class A{} class B{}",
    "public class \u00dcml { public static void main(String[] a){} }",
    "public class program { public static void main(String[] a){} } class classes {}",
    "@interface X {} module a {}",
    "",
]
RUST = [
    'use std::io;\nfn main(){ let mut s=String::new(); io::stdin().read_line(&mut s).unwrap(); print!("{}", s); }',
    '#![crate_type="lib"]\npub fn f(){}',
    '#![crate_type="cdylib"]\npub fn f(){}',
    '#![crate_type="staticlib"]\npub fn f(){}',
    '#![no_main]\n#[no_mangle] pub extern "C" fn main() -> i32 { 0 }',
    'fn main(){ let b = include_bytes!("/dev/zero"); }',
    'fn main(){ let b = include_str!("main.rs"); print!("{}", b); }',
    "fn main(){ panic!() }",
    "macro_rules! m { ($($t:tt)*) => { m!($($t)* $($t)*) } }\nfn main(){ m!(a) }",
    "fn f(n: u64) -> u64 { f(n + 1) + 1 }\nfn main(){ f(0); }",
]
JAVASCRIPT = [
    "console.log(require('fs').readFileSync(0, 'utf8'))",
    "process.kill(process.pid, 'SIGSTOP')",
    "process.abort()",
    "for(;;) console.log('x'.repeat(1e5))",
    "const a = []; for(;;) a.push(new Array(1e5).fill(1))",
    "process.exitCode = 256; throw null",
    "require('child_process').spawnSync('node')",
    "#!/usr/bin/env node\nwhile(1);",
    "new Array(1e9).join('x').repeat(1e9)",
]
BASH = [
    "cat",
    ":(){ :|:& };:",
    "kill -9 -1; kill -STOP $$",
    "exec 0<&- 1>&- 2>&-; exit 0",
    "yes",
    "trap '' TERM KILL INT; while :; do :; done",
    "head -c 100000000 /dev/zero > f; cat f",
    "ulimit -v 1; ulimit -n 0; exec ls",
    "sleep 100 & disown; exit 0",
    "\x00\x01$(",
]
SOURCES = {
    "python": PYTHON,
    "c": C,
    "cpp": [*CPP, *C],
    "java": JAVA,
    "rust": RUST,
    "javascript": JAVASCRIPT,
    "bash": BASH,
}


def hostile_programs(language: str, seed: int) -> Iterator[str]:
    """The programs of a language, and then mutants of them without end."""
    yield from SOURCES[language]
    chance = random.Random(f"{language} {seed}")
    while True:
        yield mutant(chance, SOURCES[language])


def mutant(chance: random.Random, sources: list[str]) -> str:
    """A program with one to four places deleted, doubled, put elsewhere, or overwritten by a piece of another program."""
    text = chance.choice(sources)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([1, 1, 3, 10, 40]))
        other = chance.choice(sources)
        there = chance.randrange(len(other) + 1)
        piece = chance.choice(
            ["", "\0", "{", ")", "\n", "9" * 5000, "\ud800", text[start:end] * 2, other[there : there + 30]]
        )
        text = text[:start] + piece + text[end:]
    return text
