// Make one master for the runner that started this script.

runForRunner(JOB);
