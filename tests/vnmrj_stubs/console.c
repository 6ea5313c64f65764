/* A console that prints what it is told, one word and its numbers a line.
   Parameters are read from stdin, "name value" a line; the first line is the scan.
   Phases are told by the names of variables (z0..z3 constants, v35 and up), and what the console
   computes in real time is told in its order: a loop is told once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "standard.h"

enum { FIRST_TABLE = 100 };

codeint v1 = 1, v2 = 2, v3 = 3, v4 = 4, v5 = 5, v6 = 6, v7 = 7, v8 = 8;
codeint v9 = 9, v10 = 10, v11 = 11, v12 = 12, v13 = 13, v14 = 14;
codeint v35 = 35, v36 = 36, v37 = 37, v38 = 38, v39 = 39, v40 = 40, v41 = 41;
codeint t1 = FIRST_TABLE + 1, t2 = FIRST_TABLE + 2, t3 = FIRST_TABLE + 3;
codeint zero = 50, one = 51, two = 52, three = 53, ct = 60;
double np, sw, tof, dof;

static struct { char name[64]; double value; } parameters[256];
static int known, scan;
static double variables[64];
static struct { int size; int *values; } tables[8];  /* t1, t2, ... from 1 */

double getval(const char *name)
{
    for (int k = 0; k < known; k++)
        if (!strcmp(parameters[k].name, name))
            return parameters[k].value;
    fprintf(stderr, "no parameter %s\n", name);
    exit(1);
}

static int quarter(codeint phase)
{
    if (phase >= FIRST_TABLE)
        return tables[phase - FIRST_TABLE].values[scan % tables[phase - FIRST_TABLE].size];
    return phase >= zero ? phase - zero : -phase;  /* negative: the variable of that number */
}

void settable(codeint table, int size, int *values)
{
    tables[table - FIRST_TABLE].size = size;
    tables[table - FIRST_TABLE].values = values;
    printf("table %d", table);
    for (int k = 0; k < size; k++)
        printf(" %d", values[k]);
    printf("\n");
}

void assign(codeint from, codeint to) { printf("assign %d %d\n", from, to); }
void add(codeint a, codeint b, codeint sum) { printf("add %d %d %d\n", a, b, sum); }
void mult(codeint a, codeint b, codeint product) { printf("mult %d %d %d\n", a, b, product); }
void mod4(codeint a, codeint rest) { printf("mod4 %d %d\n", a, rest); }
void incr(codeint variable) { printf("incr %d\n", variable); }
void getelem(codeint table, codeint place, codeint element)
{
    printf("getelem %d %d %d\n", table, place, element);
}
void obsoffset(double hertz) { printf("offset 0 %.17g\n", hertz - tof); }
void decoffset(double hertz) { printf("offset 1 %.17g\n", hertz - dof); }

void setreceiver(codeint table) { printf("receiver %d\n", quarter(table)); }
void status(int state) { printf("status %d\n", state); }
void delay(double seconds) { printf("delay %.17g\n", seconds); }

void rgpulse(double width, codeint phase, double before, double after)
{
    printf("pulse %.17g %d 0 0 %g\n", width, quarter(phase), before + after);
}

void decrgpulse(double width, codeint phase, double before, double after)
{
    printf("pulse 0 0 %.17g %d %g\n", width, quarter(phase), before + after);
}

void simpulse(double observe, double decoupler, codeint phase, codeint decoupler_phase,
              double before, double after)
{
    printf("pulse %.17g %d %.17g %d %g\n", observe, quarter(phase), decoupler,
           quarter(decoupler_phase), before + after);
}

void shaped_pulse(const char *shape, double width, codeint phase, double before, double after)
{
    printf("shape 0 %.17g %d %g %s\n", width, quarter(phase), before + after, shape);
}

void decshaped_pulse(const char *shape, double width, codeint phase, double before, double after)
{
    printf("shape 1 %.17g %d %g %s\n", width, quarter(phase), before + after, shape);
}

void zgradpulse(double level, double seconds) { printf("gradient %.17g %.17g\n", seconds, level); }
void obspower(double decibel) { printf("coarse 0 %.17g\n", decibel); }
void decpower(double decibel) { printf("coarse 1 %.17g\n", decibel); }
void obspwrf(double fine) { printf("fine 0 %.17g\n", fine); }
void decpwrf(double fine) { printf("fine 1 %.17g\n", fine); }
void obsunblank(void) {}
void obsblank(void) {}
void decunblank(void) {}
void decblank(void) {}
void xmtron(void) { printf("on 0\n"); }
void xmtroff(void) { printf("off 0\n"); }
void decon(void) { printf("on 1\n"); }
void decoff(void) { printf("off 1\n"); }
void initval(double value, codeint variable)
{
    variables[variable] = value;
    printf("initval %.17g %d\n", value, variable);
}
void loop(codeint count, codeint index) { (void) index; printf("loop %.17g\n", variables[count]); }
void endloop(codeint index) { (void) index; printf("end\n"); }
void startacq(double alfa) { printf("delay %.17g\n", alfa); }
void acquire(double points, double dwell) { printf("acquire %.17g %.17g\n", points, dwell); }
void endacq(void) {}

int main(void)
{
    if (scanf("%d", &scan) != 1)
        return 1;
    while (known < 256
           && scanf("%63s %lf", parameters[known].name, &parameters[known].value) == 2)
        known++;
    np = getval("np");
    sw = getval("sw");
    tof = 1234.5;
    dof = -987.0;
    pulsesequence();
    return 0;
}
