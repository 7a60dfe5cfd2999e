//! The entry of a program that has no C library: what the kernel put on the stack, and the few symbols that compilers
//! take for granted.

use core::ffi::{CStr, c_char};

/// The words that the kernel handed to the program: its arguments and its environment.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

/// Strings of an argument or environment vector, in order.
#[derive(Clone, Debug)]
pub struct Strings(*const *const c_char);

impl Words {
    /// The words on the stack of a program that has just started.
    ///
    /// # Safety
    /// `stack` must be the stack pointer at the program's entry (System V ABI for x86-64, "Process Initialization"):
    /// the argument count, that many pointers and a null, then the environment's pointers and a null, all of them to
    /// NUL-terminated strings. The kernel keeps them readable for as long as the program runs; nobody may write them.
    #[allow(unsafe_code)]
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: by the contract above `stack` points to the argument count, and the two vectors follow it.
        unsafe {
            let arguments = stack.add(1).cast::<*const c_char>();
            Self { arguments, environment: arguments.add(*stack + 1) }
        }
    }

    /// The arguments, the program's own name first.
    pub fn arguments(&self) -> Strings {
        Strings(self.arguments)
    }

    /// The environment, `KEY=VALUE`.
    pub fn environment(&self) -> Strings {
        Strings(self.environment)
    }
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: a `Strings` is only made by `Words`, whose contract says that this is a vector of pointers to
        // NUL-terminated strings which ends in a null pointer; it is advanced only past a pointer that is not null.
        #[allow(unsafe_code)]
        unsafe {
            let string = *self.0;
            if string.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            Some(CStr::from_ptr(string))
        }
    }
}

/// Makes `$main`, a `fn(Words) -> !`, the entry of a program without a C library.
///
/// The memory functions are those that the compiler calls on its own (`rep movsb` and `rep stosb`: small, and fast on
/// every processor with ERMS). The unwinding symbols are named by the precompiled `core`; a program that aborts on panic
/// never comes to them.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        ::core::arch::global_asm!(
            ".globl _start",
            "_start:",
            "xor ebp, ebp",
            "mov rdi, rsp",
            "and rsp, -16",
            "call {entry}",
            "ud2",
            ".globl memcpy",
            ".globl memmove",
            ".globl memset",
            ".globl memcmp",
            ".globl bcmp",
            ".globl strlen",
            ".globl rust_eh_personality",
            ".globl _Unwind_Resume",
            "memmove:",
            "mov rax, rdi",
            "sub rax, rsi",
            // A destination at or behind the source's end, or before it, can be copied upwards.
            "cmp rax, rdx",
            "jae memcpy",
            "mov rax, rdi",
            "mov rcx, rdx",
            "lea rdi, [rdi + rdx - 1]",
            "lea rsi, [rsi + rdx - 1]",
            "std",
            "rep movsb",
            "cld",
            "ret",
            "memcpy:",
            "mov rax, rdi",
            "mov rcx, rdx",
            "rep movsb",
            "ret",
            "memset:",
            "mov r8, rdi",
            "mov eax, esi",
            "mov rcx, rdx",
            "rep stosb",
            "mov rax, r8",
            "ret",
            "bcmp:",
            "memcmp:",
            "xor ecx, ecx",
            "2:",
            "cmp rcx, rdx",
            "je 3f",
            "movzx eax, byte ptr [rdi + rcx]",
            "movzx r8d, byte ptr [rsi + rcx]",
            "inc rcx",
            "sub eax, r8d",
            "je 2b",
            "ret",
            "3:",
            "xor eax, eax",
            "ret",
            "strlen:",
            "xor eax, eax",
            "4:",
            "cmp byte ptr [rdi + rax], 0",
            "je 5f",
            "inc rax",
            "jmp 4b",
            "5:",
            "ret",
            "rust_eh_personality:",
            "_Unwind_Resume:",
            "ud2",
            entry = sym __surefoot_entry,
        );

        extern "C" fn __surefoot_entry(stack: *const usize) -> ! {
            // SAFETY: only `_start` above calls this, with the stack pointer that the kernel set.
            #[allow(unsafe_code)]
            let words = unsafe { $crate::start::Words::from_stack(stack) };
            $main(words)
        }
    };
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_words_are_read_off_the_stack() {
        let strings = [c"/init", c"single", c"HOME=/"];
        let stack = [2, strings[0].as_ptr() as usize, strings[1].as_ptr() as usize, 0, strings[2].as_ptr() as usize, 0];
        // SAFETY: `stack` is laid out as the kernel lays it out, and outlives `words`.
        #[allow(unsafe_code)]
        let words = unsafe { Words::from_stack(stack.as_ptr()) };
        assert_eq!(words.arguments().collect::<Vec<_>>(), [c"/init", c"single"]);
        assert_eq!(words.environment().collect::<Vec<_>>(), [c"HOME=/"]);
    }
}
