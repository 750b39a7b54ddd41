import { h } from "./dom.js";
export class QuestionsView { element = h("div.questions"); draw(task){ this.element.textContent = task.questions.map(q=>JSON.stringify(q.value)).join("\n"); } focus(){} }
