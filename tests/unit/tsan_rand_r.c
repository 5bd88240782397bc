/* SPDX-License-Identifier: MIT */
/*
 * Criterion places the arena of its test processes at a random address drawn with rand_r(), nearly
 * all of which belongs to the shadow memory of ThreadSanitizer. This one draws from the range below
 * the executable (0x550000000000 .. 0x553fff000000), which the sanitizer leaves to the application.
 */
int rand_r(unsigned *seed);

int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return 0x350000 + (int)(*seed >> 8 & 0x3fff);
}
