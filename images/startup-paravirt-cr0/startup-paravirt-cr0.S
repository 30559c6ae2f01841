/*
 * startup-paravirt-cr0: images/startup-paravirt with the probe of Zach Amsden's proposal: a kernel that is outside ring 0,
 * or finds paging on already, was not started by a PC.
 */
.set PROBE_CR0, 1
	.include "startup-paravirt/startup-paravirt.S"
