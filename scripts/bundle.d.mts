export function checkForBrowsers(): Promise<void>;
