/* Declarations of what an exported sequence uses of the pulse-sequence language of VnmrJ. */
#ifndef STANDARD_H
#define STANDARD_H
#include <math.h>

typedef int codeint;

extern codeint v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14;
extern codeint v35, v36, v37, v38, v39, v40, v41;
extern codeint t1, t2, t3;
extern codeint zero, one, two, three, ct;
extern double np, sw, tof, dof;

enum { A, B, C };

double getval(const char *name);
void settable(codeint table, int size, int *values);
void setreceiver(codeint table);
void status(int state);
void delay(double seconds);
void rgpulse(double width, codeint phase, double before, double after);
void decrgpulse(double width, codeint phase, double before, double after);
void simpulse(double observe, double decoupler, codeint phase, codeint decoupler_phase,
              double before, double after);
void shaped_pulse(const char *shape, double width, codeint phase, double before, double after);
void decshaped_pulse(const char *shape, double width, codeint phase, double before, double after);
void zgradpulse(double level, double seconds);
void obspower(double decibel);
void obspwrf(double fine);
void decpower(double decibel);
void decpwrf(double fine);
void obsunblank(void);
void obsblank(void);
void xmtron(void);
void xmtroff(void);
void decunblank(void);
void decblank(void);
void decon(void);
void decoff(void);
void initval(double value, codeint variable);
void assign(codeint from, codeint to);
void add(codeint a, codeint b, codeint sum);
void mult(codeint a, codeint b, codeint product);
void mod4(codeint a, codeint rest);
void incr(codeint variable);
void getelem(codeint table, codeint place, codeint element);
void obsoffset(double hertz);
void decoffset(double hertz);
void loop(codeint count, codeint index);
void endloop(codeint index);
void startacq(double alfa);
void acquire(double points, double dwell);
void endacq(void);

void pulsesequence(void);
#endif
