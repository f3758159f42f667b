// Make one master for the user who runs this script.

console.show();
runForUser(JOB);
