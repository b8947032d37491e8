/* What the compiler of the library calls under ThreadSanitizer and the runtime
 * of older gcc (before 13) does not have; its memcpy and so on do the same. */
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t length)
{
    return memcpy(to, from, length);
}

void *__tsan_memmove(void *to, const void *from, size_t length)
{
    return memmove(to, from, length);
}

void *__tsan_memset(void *to, int byte, size_t length)
{
    return memset(to, byte, length);
}
