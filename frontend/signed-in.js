/** The window of a sign-in comes back here: the others go on, and it is closed if the browser lets it. */

new BroadcastChannel("tailrace-sign-in").postMessage("in");
window.close();
