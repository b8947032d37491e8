#include "leaks.h"

static int are_meant;

/* LeakSanitizer asks this before it looks (scripts/sanitize); nobody else. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
    return are_meant;
}

void leaks_are_meant(void)
{
    are_meant = 1;
}
