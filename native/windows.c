/* What the kernel needs of a C library, for Windows. With this the DLL needs no other, and the compiler does
   not have to build a C library first, which takes minutes. no_builtin: a loop must not become a call of the
   function that it is in. */

#include <stddef.h>

#define FOR_LINKER(type, name) __attribute__((used, no_builtin, visibility("hidden"))) type name

FOR_LINKER(void *, memcpy)(void *to, const void *from, size_t size) {
    char *out = to;
    const char *in = from;
    for (; size; size--) *out++ = *in++;
    return to;
}

FOR_LINKER(void *, memmove)(void *to, const void *from, size_t size) {
    char *out = to;
    const char *in = from;
    if (out <= in)
        for (; size; size--) *out++ = *in++;
    else
        while (size--) out[size] = in[size];
    return to;
}

FOR_LINKER(void *, memset)(void *to, int value, size_t size) {
    char *out = to;
    for (; size; size--) *out++ = (char)value;
    return to;
}

/* Where a DLL begins: there is nothing to prepare. */
FOR_LINKER(int, DllMainCRTStartup)(void *module, unsigned long reason, void *reserved) {
    (void)module, (void)reason, (void)reserved;
    return 1;
}
